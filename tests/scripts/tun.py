"""Makes a tun interface, and for each line of its input sends the frames of a pcap file (little endian, Ethernet) there, without their
Ethernet headers, as if they came in: tun.py FILE NAME. Gone with the script."""

import fcntl
import os
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000

capture = open(sys.argv[1], "rb").read()
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", sys.argv[2].encode(), IFF_TUN | IFF_NO_PI))
subprocess.run(["ip", "link", "set", sys.argv[2], "up"], check=True)
print("up", flush=True)
for _ in sys.stdin:
    at = 24
    while at < len(capture):
        length = struct.unpack_from("<I", capture, at + 8)[0]
        os.write(tun, capture[at + 16 + 14 : at + 16 + length])
        at += 16 + length
    print("sent", flush=True)
