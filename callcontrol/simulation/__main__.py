import sys

from callcontrol.simulation.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
