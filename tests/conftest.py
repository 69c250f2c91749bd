"""Settings for the whole suite."""

import atexit
import os
import shutil
import tempfile

import hypothesis

# Before anything imports Matplotlib: tests have no screen.
os.environ["MPLBACKEND"] = "Agg"

# An embedding that an earlier run cached would hide a change of the encoder. Processes that tests start see it too.
os.environ["SEGANY_CACHE"] = tempfile.mkdtemp(prefix="segany-test-embeddings-")
atexit.register(shutil.rmtree, os.environ["SEGANY_CACHE"], ignore_errors=True)

# Shared machines are slow at times; a slow example is not a wrong one.
hypothesis.settings.register_profile("segany", deadline=None)
hypothesis.settings.load_profile("segany")
