"""Run the bench: `python -m bench.contract`."""

from bench.contract.run import main

main()
