"""Who is told of ends of executions: a receiver of webhooks and a server of mail, which note all that they are given."""

import asyncio
import json
import threading
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional

from harness.server import free_port


@dataclass(frozen=True)
class Request:
    """What a receiver was sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Webhook:
    """A receiver. Each path answers with the statuses that it is told, one after the other, and then with 200."""

    statuses: dict[str, list[int]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    server: Optional[ThreadingHTTPServer] = None

    def start(self) -> "Webhook":
        """Starts to listen."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802, as the base class calls it
                length = int(self.headers["content-length"])
                body = json.loads(self.rfile.read(length))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append(Request(self.path, headers, body))
                left = outer.statuses.get(self.path, [])
                self.send_response(left.pop(0) if left else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def end(self) -> None:
        """Ends it."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()

    def url(self, path: str) -> str:
        """Where it listens for `path`."""
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str, execution: str = "") -> list[Request]:
        """What was sent to `path`; of one execution alone where that is named."""
        sent = [request for request in self.requests if request.path == path]
        return [request for request in sent if execution in json.dumps(request.body)]


@dataclass(frozen=True)
class Mail:
    """A mail as it was taken: by whom it is, for whom, and what stands in it."""

    sender: str
    recipients: list[str]
    message: Message

    @property
    def subject(self) -> str:
        """Its subject, which may be folded on its way."""
        return str(self.message["subject"]).replace("\r", "").replace("\n", "")

    @property
    def text(self) -> str:
        """Its text."""
        payload = self.message.get_payload(decode=True)
        assert isinstance(payload, bytes), "a mail of one part"
        return payload.decode()


class MailServer:
    """A server of mail, without encryption. It refuses for good whom it is told to, and wants a login where it has one."""

    def __init__(self, login: Optional[tuple[str, str]] = None, refused: str = "") -> None:
        self.login, self.refused = login, refused
        self.mails: list[Mail] = []
        self.logins: list[str] = []
        self.port = free_port()
        self.loop = asyncio.new_event_loop()
        self.listens = threading.Event()

    def start(self) -> "MailServer":
        """Starts to listen."""
        threading.Thread(target=self._run, daemon=True).start()
        assert self.listens.wait(10), "the server of mail listens"
        return self

    def end(self) -> None:
        """Ends it."""
        self.loop.call_soon_threadsafe(self.loop.stop)

    def to(self, recipient: str) -> list[Mail]:
        """What was taken for somebody."""
        return [mail for mail in self.mails if recipient in mail.recipients]

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self._talk, "127.0.0.1", self.port))
        self.listens.set()
        self.loop.run_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        sender, recipients = "", []
        say("220 tests")
        while line := (await reader.readline()).decode().strip():
            word, _, rest = line.partition(" ")
            match word.upper():
                case "EHLO" if self.login:
                    say("250-tests\r\n250 AUTH PLAIN")
                case "AUTH":
                    self.logins.append(rest)
                    say("235 welcome")
                case "MAIL":
                    sender, recipients = rest.partition(":")[2], []
                    say("250 yes")
                case "RCPT":
                    recipient = rest.partition("<")[2].partition(">")[0]
                    recipients.append(recipient)
                    say(f"550 no {recipient} here" if recipient == self.refused else "250 yes")
                case "DATA":
                    say("354 go on")
                    data = await reader.readuntil(b"\r\n.\r\n")
                    self.mails.append(Mail(sender, recipients, message_from_bytes(data[:-3])))
                    say("250 taken")
                case "QUIT":
                    say("221 bye")
                    break
                case _:
                    say("250 yes")
        writer.close()
