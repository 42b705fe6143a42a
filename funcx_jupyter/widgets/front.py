"""The widgets that users make."""

from __future__ import annotations

from funcx_jupyter.widgets.monitor import TaskMonitor
from funcx_jupyter.widgets.picker import EndpointPicker
from funcx_jupyter.widgets.task_view import TaskView
from funcx_jupyter.widgets.timeline import Timeline

__all__ = ["EndpointPicker", "TaskMonitor", "TaskView", "Timeline"]
