"""A local S3 server over real HTTP, in a thread of this process: moto's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

BUCKET = "funcx-values"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tested", "AWS_SECRET_ACCESS_KEY": "tested", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def s3_server() -> Iterator[str]:
    """Yield the URL of a bucket, as the service is given it."""
    import boto3
    from moto.server import ThreadedMotoServer

    with mock.patch.dict(os.environ, CREDENTIALS):
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            address = f"http://{host}:{port}"
            client = boto3.client("s3", endpoint_url=address)
            client.create_bucket(Bucket=BUCKET)
            client.close()
            yield f"s3://{BUCKET}/large?endpoint_url={address}"
        finally:
            server.stop()
