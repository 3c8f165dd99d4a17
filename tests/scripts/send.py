"""Sends the frames of a pcap file (little endian) on an interface: send.py FILE IFACE"""

import socket
import struct
import sys

capture = open(sys.argv[1], "rb").read()
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((sys.argv[2], 0))
at = 24
while at < len(capture):
    length = struct.unpack_from("<I", capture, at + 8)[0]
    out.send(capture[at + 16 : at + 16 + length])
    at += 16 + length
