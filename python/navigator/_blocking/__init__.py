# Generated from navigator/_aio/__init__.py by python/tools/generate.py.
"""All that a client does, for asyncio; the blocking twin is generated from it."""
