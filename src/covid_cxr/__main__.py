"""`python -m covid_cxr` is `covid-cxr`."""

from covid_cxr.cli import main

if __name__ == "__main__":
    main()
