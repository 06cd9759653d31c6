"""Bytes to and from a gateway and this machine, once for asyncio and once for threads that wait."""
