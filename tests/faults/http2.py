"""The proxy's way with HTTP/2: each call on a connection gets one reply, and none is passed on."""

from __future__ import annotations

import socket

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived

from tests.faults.fault import Dialect, Fault, Kind, Reply
from tests.faults.http1 import PAGE

CHUNK = 1 << 16


def reply_of(fault: Fault, dialect: Dialect) -> Reply:
    """Return what a call is answered with; whoever should ask later is told so as gRPC does."""
    if fault.kind is Kind.PAGE:
        return Reply(status=200, headers=(("content-type", "text/html; charset=utf-8"),), body=PAGE)
    said = fault.reply or dialect(fault.code)
    if fault.retry_after is None:
        return said
    # https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
    later = ("grpc-retry-pushback-ms", str(fault.retry_after * 1000))
    return Reply(status=said.status, headers=(*said.headers, later), body=said.body)


def answer(client: socket.socket, reply: Reply) -> None:
    """Answer every call of one connection, until the client goes away."""
    connection = H2Connection(H2Configuration(client_side=False))
    connection.initiate_connection()
    client.sendall(connection.data_to_send())
    while data := client.recv(CHUNK):
        for event in connection.receive_data(data):
            match event:
                case RequestReceived(stream_id=int(stream)):
                    _reply(connection, stream, reply)
                case DataReceived(stream_id=int(stream), flow_controlled_length=int(length)):
                    connection.acknowledge_received_data(length, stream)
                case _:
                    continue
        client.sendall(connection.data_to_send())


def _reply(connection: H2Connection, stream: int, reply: Reply) -> None:
    headers = [(":status", str(reply.status)), *((name.lower(), value) for name, value in reply.headers)]
    connection.send_headers(stream, headers, end_stream=not reply.body)
    if reply.body:
        connection.send_data(stream, reply.body, end_stream=True)
