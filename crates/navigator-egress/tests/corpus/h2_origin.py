"""An HTTP/2 origin without TLS, made of the h2 library: prints each request as it understood it. A connection that
begins with `END` ends it when all others have."""

import json
import socket
import sys
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions


def serve(client, first):
    config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
    connection = h2.connection.H2Connection(config=config)
    connection.initiate_connection()
    client.sendall(connection.data_to_send())
    open_requests = {}
    data = first
    while data:
        try:
            events = connection.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            report({"error": str(error)})
            break
        for event in events:
            stream = getattr(event, "stream_id", None)
            if isinstance(event, h2.events.RequestReceived):
                fields = [[name, value] for name, value in event.headers]
                open_requests[stream] = {"fields": fields, "body": 0, "whole": False}
            elif isinstance(event, h2.events.DataReceived):
                open_requests[stream]["body"] += len(event.data)
                connection.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, h2.events.TrailersReceived):
                open_requests[stream]["trailers"] = [name for name, _ in event.headers]
            elif isinstance(event, h2.events.StreamEnded):
                request = open_requests.pop(stream)
                request["whole"] = True
                report(request)
                connection.send_headers(stream, [(":status", "200")], end_stream=True)
        client.sendall(connection.data_to_send())
        data = receive(client)
    for request in open_requests.values():
        report(request)
    client.close()


def receive(client):
    try:
        return client.recv(65536)
    except OSError:
        return b""


def report(request):
    with lock:
        print(json.dumps(request), flush=True)


lock = threading.Lock()
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
threads = []
while True:
    client, _ = listener.accept()
    first = client.recv(65536)
    if first == b"END":
        break
    threads.append(threading.Thread(target=serve, args=(client, first)))
    threads[-1].start()
for thread in threads:
    thread.join()
