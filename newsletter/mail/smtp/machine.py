"""The messages of one connection, from the first MAIL on, as a machine that knows no sockets.

It is fed what was received and says what to write. With PIPELINING (RFC 2920) an envelope is one write, and the next one
goes out behind the content before it, so that a message costs one round trip; without it, one command at a time.

At most two parcels are here: `begun`, whose content has left and whose answer is due, and `named`, whose envelope has.
Whatever ends a parcel takes it out first, so that it ends once.
"""

from collections import deque
from collections.abc import Container
from typing import Final

from newsletter.errors import BadInput, Reply
from newsletter.mail.smtp.content import DOT, on_the_wire
from newsletter.mail.smtp.envelope import TOO_BIG, Cannot, envelope, takes, too_big
from newsletter.mail.smtp.handshake import Offer
from newsletter.mail.smtp.parcels import Answer, Kind, Parcel
from newsletter.mail.smtp.replies import CLOSING, OK, START_CONTENT, Replies, make_reply

_RSET, _MAIL, _RCPT, _DATA, _DOT, _QUIT = "rset", "mail", "rcpt", "data", "dot", "quit"  # the phases that replies name
_NOTHING = "nothing"  # a dot that ends content nobody was going to get
_GOOD: dict[str, Container[int]] = {  # the rest is a refusal from 400 on, and nonsense below
    _RSET: {OK},
    _MAIL: {OK},
    _RCPT: {250, 251, 252},
    _DATA: {START_CONTENT},
    _DOT: range(200, 300),
    _NOTHING: range(200, 300),
    _QUIT: range(200, 400),
}
_REFUSAL, _NEVER = 400, 500
_TOO_BIG_CODE = 552  # RFC 1870 section 6
_OUT_OF_STEP = 503  # the server and we disagree about where we are: that is about no message
_NOT_IN_UTF8 = "5.6.7"  # RFC 6531 section 3.5


class Machine:
    """The state of a connection that is open, greeted and logged in.

    `output` is to be written, `endings` go to the owner of the parcels. `over` says that the connection is to be closed,
    and `trouble` what the server had against us, if it had something.
    """

    __slots__ = (
        "_broken", "_due", "_lines", "_mail_taken", "_offer", "_proven", "_replies", "_server", "_tail", "_unfinished",
        "begun", "endings", "going", "named", "output", "over", "started", "trouble",
    )  # fmt: skip

    def __init__(self, server: str, offer: Offer) -> None:
        """Begin with nothing under way; `server` is how replies name it."""
        self._server = server
        self._offer: Final = offer
        self._replies = Replies()
        self._due: deque[str] = deque()  # what the next replies will answer
        self._lines: deque[tuple[str, bytes]] = deque()  # the envelope's commands that wait for the replies before them
        self._mail_taken = False  # `named` has got past MAIL
        self._unfinished = False  # the server holds a transaction that RSET must end
        self._proven = False  # the server has answered about some message
        self._broken = False  # nothing can follow: QUIT when nothing is due
        self._tail = 0  # bytes written behind the last dot
        self.begun: Parcel | None = None
        self.named: Parcel | None = None
        self.going = False  # the server wants the content of `named`
        self.started = 0  # envelopes sent
        self.endings: deque[tuple[Parcel, Answer]] = deque()
        self.output = b""
        self.over = False
        self.trouble: Reply | None = None

    @property
    def due(self) -> str:
        """The phase that the next reply will answer; empty if none is due."""
        return self._due[0] if self._due else ""

    @property
    def idle(self) -> bool:
        """Whether nothing is under way, so that a parcel can be named."""
        return not (self._due or self.going or self.over)

    @property
    def proven(self) -> bool:
        """Whether the server has answered about some message, so that it works with us."""
        return self._proven

    @property
    def pipelines(self) -> bool:
        """Whether an envelope may leave behind content that is not answered yet."""
        return self._offer.pipelining

    def name(self, parcel: Parcel) -> bytes:
        """Return what to write to start a parcel; nothing where it ended at once, because it cannot go to this server."""
        try:
            lines = envelope(parcel, self._offer, self._server)
        except Cannot as cannot:
            self.endings.append((parcel, Answer(Kind.REFUSED, cannot.reply)))
            return b""
        self.named, self._mail_taken = parcel, False
        self.started += 1
        steps = [(_MAIL, lines[0]), (_RCPT, lines[1]), (_DATA, lines[2])]
        if self._unfinished:
            steps.insert(0, (_RSET, b"RSET\r\n"))
            self._unfinished = False
        if self._offer.pipelining:
            self._due.extend([step for step, _ in steps])
            return b"".join([line for _, line in steps])
        self._lines.extend(steps)
        return self._next_line()

    def hand_over(self) -> Parcel:
        """Return the parcel that the server waits for; the next may be named now, then its content is to be packed."""
        assert self.going
        assert self.named is not None
        self.begun, self.named, self.going = self.named, None, False
        self._due.append(_DOT)
        return self.begun

    def pack(self, content: bytes, following: bytes) -> bytes:
        """Return the content with its dot and what follows it, to be written at once; nothing where it cannot be sent."""
        assert self.begun is not None
        self._tail = len(following)
        if not takes(self._offer, len(content)):  # the size was unknown as it was announced
            return self._keep_back(TOO_BIG, too_big(self._offer, len(content)))
        if self.begun.clean:
            return b"".join((content, DOT, following))
        try:
            return on_the_wire(content, seven_bit=not self.begun.needs_utf8) + following
        except BadInput as error:
            return self._keep_back("5.6.0", str(error))

    def _keep_back(self, enhanced: str, reason: str) -> bytes:
        """Refuse the content that the server waits for: nothing is written any more."""
        self._end_begun(Kind.REFUSED, Reply(0, enhanced, reason, self._server, _DATA))
        self.withdraw(reason)
        return b""

    def withdraw(self, reason: str) -> None:
        """Give back what `hand_over` returned, and what was named since: the server waits for content that will not come."""
        if self.begun is not None:
            self._end_begun(Kind.RETURNED, self._reply(_DATA, 0, reason))
        self.lost(reason, ours=True)

    def take_output(self) -> bytes:
        """Return what is to be written, once."""
        output, self.output = self.output, b""
        return output

    def quit(self) -> None:
        """Say goodbye while idle; what the server says to that changes nothing."""
        self.output += b"QUIT\r\n"
        self._due.append(_QUIT)

    def receive(self, data: bytes, *, unsent: int = 0) -> bool:
        """Take what was received while `unsent` written bytes have not left; return whether a reply was complete with it."""
        replies = self._replies.feed(data)
        for code, text in replies:
            if self.over:
                break
            if self._due:
                self._take(code, text, unsent)
            else:
                self._take_unasked(code, text)
        if self._replies.nonsense:
            self.lost(self._replies.nonsense, unsent=unsent)
        if self._broken and self.idle:
            self.quit()
        return bool(replies) or self.over

    def lost(self, reason: str, *, unsent: int = 0, ours: bool = False) -> None:
        """End everything: the connection is gone, or will be closed. `ours`: it is we who end it.

        Content whose dot has not left cannot have been taken. A server that went away on hearing of a recipient gets that
        parcel later, not at once: it may be the reason.
        """
        if self.over:
            return
        phase = self.due or (_DATA if self.going else _MAIL)
        reply = self._reply(phase, 0, reason)
        if self.begun is not None:
            if unsent > self._tail:
                self._end_begun(Kind.DEFERRED, self._reply(_DATA, 0, reason))
            else:
                self._end_begun(Kind.LOST, reply)
        self._end_named(Kind.RETURNED if ours else self._kind_of_loss(phase), reply)
        self._close(None if ours else reply)

    def _kind_of_loss(self, phase: str) -> Kind:
        if self.going or (self._mail_taken and phase in {_RCPT, _DATA}):
            return Kind.DEFERRED
        return Kind.RELAY if phase == _MAIL and not self._proven else Kind.RETURNED

    def _take(self, code: int, text: bytes, unsent: int) -> None:
        step = self._due[0]
        good = code in _GOOD[step]
        if not good and code < _REFUSAL:
            words = self._reply(step, code, text)
            self.lost(f"the server answered {words.code} {words.text}", unsent=unsent)
        elif step is _DOT:
            self._take_dot(code, text, unsent)
        else:
            self._due.popleft()
            if good:
                self._go_on(step)
            else:
                self._refused(step, self._reply(step, code, text))

    def _take_dot(self, code: int, text: bytes, unsent: int) -> None:
        if unsent <= self._tail:
            self._due.popleft()
            reply = self._reply(_DOT, code, text)
            self._end_begun(_refusal(reply) if code >= _REFUSAL else Kind.ACCEPTED, reply)
            self._proven = self._proven or code != CLOSING
            if code == CLOSING:
                self._leave(reply)
        elif code < _REFUSAL:
            self.lost("the server answered before it had the message", unsent=unsent)
        else:  # refused while it was being sent: what is left of it would be taken for commands
            reply = self._reply(_DATA, code, text)
            self._end_begun(_refusal(reply), reply)
            self._leave(reply)

    def _go_on(self, step: str) -> None:
        if step is _MAIL:
            self._mail_taken = True
        elif step is _DATA and self.named is not None:
            self.going = True
        elif step is _DATA:  # RFC 2920 section 3.1: no recipient was taken, and still the server waits for content
            self.output += DOT
            self._due.append(_NOTHING)
            self._unfinished = False
        elif step is _QUIT:
            self._close(None)
        self.output += self._next_line()

    def _refused(self, step: str, reply: Reply) -> None:
        self._lines.clear()
        if step is _MAIL:
            self._refused_at_mail(reply)
        elif step in {_RCPT, _DATA} and self.named is not None:
            self._refused_by_name(reply)
        if step is _QUIT:
            self._close(None)
        elif step is _RSET or reply.code == CLOSING:
            self._leave(reply)

    def _refused_by_name(self, reply: Reply) -> None:
        """End the parcel whose recipient or content the server does not want."""
        if reply.code == _OUT_OF_STEP:
            self._end_named(Kind.DEFERRED, reply)
            self._leave(reply)
        else:
            self._end_named(_refusal(reply), reply)
            self._unfinished = True
            self._proven = self._proven or reply.code != CLOSING

    def _refused_at_mail(self, reply: Reply) -> None:
        """End the parcel: MAIL is about us, but for a size or an address that this server cannot take."""
        if reply.code == _TOO_BIG_CODE or reply.enhanced == _NOT_IN_UTF8:
            self._end_named(Kind.REFUSED, reply)
            self._proven = True
        elif reply.code == CLOSING and self._proven:  # enough of this connection, or of us: the next greeting will tell
            self._end_named(Kind.RETURNED, reply)
        else:
            self._end_named(Kind.RELAY, reply)
            self._broken = True
            self.trouble = reply

    def _take_unasked(self, code: int, text: bytes) -> None:
        """Take a reply to nothing: a goodbye between messages, or a refusal right behind the 354."""
        if self.going and code >= _REFUSAL:
            reply = self._reply(_DATA, code, text)
            self._end_named(_refusal(reply), reply)
            self._leave(reply)
        else:
            words = self._reply(_MAIL, code, text)
            self.lost(f"the server said {words.code} {words.text}")

    def _leave(self, reply: Reply) -> None:
        """Close without blame for a parcel that is only named."""
        self._end_named(Kind.RETURNED, reply)
        self._close(reply)

    def _close(self, reason: Reply | None) -> None:
        self.over, self.going = True, False
        self._due.clear()
        self._lines.clear()
        self.output = b""
        if reason is not None and self.started and not self._proven and self.trouble is None:
            self.trouble = reason

    def _end_begun(self, kind: Kind, reply: Reply) -> None:
        parcel, self.begun = self.begun, None
        if parcel is not None:
            self.endings.append((parcel, Answer(kind, reply)))

    def _end_named(self, kind: Kind, reply: Reply) -> None:
        parcel, self.named = self.named, None
        if parcel is not None:
            self.endings.append((parcel, Answer(kind, reply)))

    def _next_line(self) -> bytes:
        if not self._lines:
            return b""
        step, line = self._lines.popleft()
        self._due.append(step)
        return line

    def _reply(self, phase: str, code: int, text: bytes | str) -> Reply:
        return make_reply(code, text, server=self._server, phase=phase)


def _refusal(reply: Reply) -> Kind:
    return Kind.REFUSED if reply.code >= _NEVER else Kind.DEFERRED
