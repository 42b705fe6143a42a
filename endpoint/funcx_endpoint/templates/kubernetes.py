"""A Kubernetes cluster: a pod for each block. Needs: pip install 'funcx-workbench[kubernetes]'.

The image has the same Python and funcX as this endpoint. Pods must reach this machine, and mount the endpoint's folder.

After a change: funcx-endpoint restart
"""

from funcx_endpoint.endpoint.utils.config import Config
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.providers.kubernetes.kube import KubernetesProvider
from funcx_endpoint.strategies import KubeSimpleStrategy

config = Config(
    executors=[
        HighThroughputExecutor(
            # As many workers in a pod as max_cpu, unless this is less.
            max_workers_per_node=1,
            # Seconds after which an idle pod is given up.
            strategy=KubeSimpleStrategy(max_idletime=300),
            # The image has a Python of its own.
            launch_cmd="python -m funcx_endpoint.manager --settings {settings} --block-id {block_id}",
            provider=KubernetesProvider(
                image="YOUR_IMAGE",
                namespace="default",
                nodes_per_block=1,
                init_blocks=0,
                min_blocks=0,
                max_blocks=4,
                init_cpu=1,
                max_cpu=1,
                init_mem="1Gi",
                max_mem="1Gi",
                # Name of the secret with which the image is pulled; None for none.
                secret=None,
                # Claims and where they are mounted. The folder of this endpoint must be mounted at its own path.
                persistent_volumes=[("YOUR_CLAIM", "/home/funcx")],
                # Typed in the pod before the workers start.
                worker_init="",
            ),
        ),
    ],
)
