"""Import names that the funcX documentation uses in configuration files."""
