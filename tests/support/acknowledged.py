"""Acknowledged streams: numbered messages and a simple client."""
import json

from support.senders import connect_stream

TIMESTAMP = 1732272000


def profile(name="f", **more):
    return {"timestamp": TIMESTAMP, "profile": {"func_profiles": {name: {"cumtime": 1, "ncalls": "1"}}}, **more}


def line(seq, name="f", **more):
    return json.dumps({"seq": seq, **profile(name, **more)}).encode() + b"\n"


class Client:
    """A connection that has sent its hello. Responses are read one at a time."""

    def __init__(self, daemon, client, kind="tcp", pipelined=b"", **hello):
        self.socket = connect_stream(daemon, kind)
        self.file = self.socket.makefile("rb")
        self.send(json.dumps({"hello": {"client": client, **hello}}).encode() + b"\n" + pipelined)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def read(self):
        """The next response; None at the end of the stream."""
        try:
            text = self.file.readline()
        except ConnectionResetError:
            return None
        return json.loads(text) if text else None

    def hello(self):
        response = self.read()["hello"]
        assert response["protocol"] == 1
        assert response["max_message"] == 16 * 1024 * 1024
        return response["last_seq"]

    def acked(self, seq):
        """Reads acks up to this number. They must never decrease."""
        last = 0
        while last < seq:
            response = self.read()
            assert set(response) == {"ack"}, response
            assert last <= response["ack"] <= seq
            last = response["ack"]
        return self

    def until_acked(self, seq):
        """The rejects received before the ack of this number."""
        rejects = []
        while (response := self.read()) != {"ack": seq}:
            rejects += [response["reject"]] if "reject" in response else []
        return rejects

    def rest(self):
        responses = []
        while (response := self.read()) is not None:
            responses.append(response)
        return responses

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
