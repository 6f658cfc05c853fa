"""Who may ask: users, API keys, sign-ins, and the scopes that they have. It knows no HTTP, and time is an argument."""
