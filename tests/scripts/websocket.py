"""A WebSocket server that sends back what it gets (`serve HOST`), and a client (`ask HOST`) that prints how many messages it sent and got."""

import asyncio
import json
import sys

import websockets

role, host = sys.argv[1:3]
messages = ["hello", "", "grüße", "x" * 70_000, b"\x00\x01binary", "last"]


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def serve():
    async with websockets.serve(echo, host, 8080):
        print("listening", flush=True)
        await asyncio.get_running_loop().create_future()


async def ask():
    for compression in (None, "deflate"):
        async with websockets.connect(f"ws://{host}:8080/echo", compression=compression) as connection:
            for message in messages:
                await connection.send(message)
                assert await connection.recv() == message
    print(json.dumps({"texts": [m for m in messages if isinstance(m, str)], "messages": len(messages)}), flush=True)


asyncio.run(serve() if role == "serve" else ask())
