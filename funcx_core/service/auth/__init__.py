"""Who is calling. `base` is the interface; `local` keeps tokens of this service's own, `globus` and `jupyterhub` ask others."""
