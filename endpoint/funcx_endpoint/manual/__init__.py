"""The manual of `funcx-endpoint`: what its help says beyond the options, and the same as a page for `man`."""
