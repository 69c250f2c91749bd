"""Settings for the whole suite."""

import os

import hypothesis

# Before anything imports Matplotlib: tests have no screen.
os.environ["MPLBACKEND"] = "Agg"

# Shared machines are slow at times; a slow example is not a wrong one.
hypothesis.settings.register_profile("segany", deadline=None)
hypothesis.settings.load_profile("segany")
