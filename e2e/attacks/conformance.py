"""Runs the Autobahn cases against the WebSocket echo at an address; prints the verdicts of each. The cases about
compression, which the echo does not offer, are left out."""
import asyncio, json, sys
from kosoku import FailureError, run_fuzzingclient

async def main():
    try:
        results = await run_fuzzingclient(sys.argv[1], None, ["12.*", "13.*"], concurrency=4)
    except FailureError as failure:
        results = failure.results
    print(json.dumps({r.case_id: [r.passed, r.behavior.value, r.behavior_close.value] for r in results}))

asyncio.run(main())
