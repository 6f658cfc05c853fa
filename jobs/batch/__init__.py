"""Checked rows → feature tables, and features at given timestamps."""
