"""What must stand in the environment before any test module is imported. Fixtures are in `conftest`."""

import os

# The workers of `make test` fill the cores; threads of the numerical libraries would only wait for one another.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
