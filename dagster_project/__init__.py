"""When and where things run: definitions, resources, sensors and the `haetae` command."""
