"""The commands about decisions that were logged: decide them again, explain them, compare policies on them."""
