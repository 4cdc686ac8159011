"""The front door on :3000: /api/<function>/… to the functions, everything else the web app."""
