"""What every command line here shares: values, errors, and tables. The commands themselves are in `jobs/commands/`,
`jobs/simulate/`, `generate_data.py` and `app.py`."""
