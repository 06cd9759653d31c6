"""Reads the bytes of origins' connections with h11, one in hexadecimal a line, and prints what it makes of each."""

import json
import sys

import h11


def requests(data):
    found = []
    connection = h11.Connection(our_role=h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    connection.receive_data(b"")
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                found.append([event.method.decode(), event.target.decode("latin-1"), 0, False])
            elif isinstance(event, h11.Data):
                found[-1][2] += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                found[-1][3] = True
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.trailing_data == (b"", True):
                    return found
                connection.start_next_cycle()
            elif isinstance(event, h11.ConnectionClosed) or event in (h11.NEED_DATA, h11.PAUSED):
                return found
    except h11.RemoteProtocolError as error:
        # The end in the middle of a body is no disagreement.
        if "peer closed connection" in str(error) or "without sending complete" in str(error):
            return found
        return found + [["error", str(error), 0, False]]


for line in sys.stdin:
    print(json.dumps(requests(bytes.fromhex(line))))
