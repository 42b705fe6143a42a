"""What a manager decides. Pure: `state` is the machine, the rest are its parts."""
