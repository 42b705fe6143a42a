"""The executor and the processes below it, where the first release had them."""
