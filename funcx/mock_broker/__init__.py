"""The forwarder without a web service; the command is ``forwarder-service``."""
