"""The measurements behind every claim about speed: ours and its peers, in one run, by turns."""
