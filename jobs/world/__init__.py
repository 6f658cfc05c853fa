"""The generated data of one seed, size and hash key, in a root that holds nothing else at their places.

The generator replaces only what it wrote itself, which the marker `world.json` knows by digest. Anything else it
refuses to touch.
"""
