"""The endpoint's command and configuration, where the first release had them."""
