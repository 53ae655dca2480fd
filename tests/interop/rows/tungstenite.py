"""Joins a chat over WebSocket (RFC 6455), says one word, and prints the first two texts it receives."""
import os
import socket
import struct
import sys

port, word = int(sys.argv[1]), sys.argv[2].encode()
sock = socket.create_connection(("127.0.0.1", port))
sock.sendall(
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
reader = sock.makefile("rb")
head = []
while (line := reader.readline().strip()):
    head.append(line.lower())
assert head[0].startswith(b"http/1.1 101"), head
# The answer to the key that RFC 6455 uses as its example.
assert b"sec-websocket-accept: " + b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".lower() in head, head


def receive():
    kind, length = struct.unpack("!BB", reader.read(2))
    assert kind == 0x81 and length < 126, (kind, length)
    return reader.read(length)


print(receive().decode())
mask = os.urandom(4)
masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(word))
sock.sendall(struct.pack("!BB", 0x81, 0x80 | len(word)) + mask + masked)
print(receive().decode())
