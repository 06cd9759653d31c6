"""All that a client does, for asyncio; the blocking twin is generated from it."""
