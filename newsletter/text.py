r"""Clean text from whatever a site, a file or a person gave us; every function is pure and takes linear time.

Clean means: no control characters, nothing invisible that reorders or hides what follows, nothing that
cannot be stored or sent (lone surrogates, noncharacters). TeX becomes the characters it stands for, as far as
a line of text can show them.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from urllib.parse import urlsplit

# Not in here are the joiners U+200C and U+200D (Persian and emoji need them) and the white space among the controls, which folds.
_JUNK = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
_UNSAFE_IN_LINK = re.compile(r"""[\s<>"\\^`{|}]""")
_LONGEST_LINK = 2000  # characters; beyond it links break in mail programs

HANGUL_SHARE = 0.3  # of all letters; Korean texts on research are full of English terms


def one_line(text: str) -> str:
    """Return the text on one line: junk removed, every run of white space one space."""
    return " ".join(_JUNK.sub("", text).split())


def paragraphs(text: str) -> str:
    """Return the text with hard-wrapped lines joined and one empty line between paragraphs."""
    lines = (one_line(line) for line in text.splitlines())
    return "\n\n".join(" ".join(block) for filled, block in groupby(lines, key=bool) if filled)


def safe_link(url: str) -> str:
    """Return `url` if it may stand in a link: http(s), a host, no credentials, no white space, no control characters; else ""."""
    if len(url) > _LONGEST_LINK or _UNSAFE_IN_LINK.search(url) or _JUNK.search(url):
        return ""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:  # a port that is no number, an IPv6 address that is none
        return ""
    return url if usable else ""


def language_of(text: str) -> str:
    """Return "ko" where at least 30 % of the letters are Hangul, else "en": the two we can tell apart without a library."""
    letters = sum(map(str.isalpha, text))
    hangul = sum("\uac00" <= character <= "\ud7a3" for character in text)
    return "ko" if letters and hangul / letters >= HANGUL_SHARE else "en"


def _words(table: str) -> frozenset[str]:
    return frozenset(table.split())


_ABBREVIATIONS = _words(
    "al app appx approx art cf ch chap col def dept dr ed eds e.g eq eqs eqn ex fig figs i.e i.i.d incl inc jr lem max min "
    "mr mrs ms no nos p pp para prof prop ref refs rem resp sec sect sr st tab tbl thm u.k u.s viz vol vs w.r.t wrt a.k.a"
)
_CLOSING, _OPENING = "\"'”’»)]", "\"'“‘«(["


def sentences(text: str) -> list[str]:
    """Split English prose into its sentences, each on one line.

    An abbreviation, an initial or a number does not end one, nor does a full stop before a small letter.
    """
    found: list[str] = []
    begun: list[str] = []
    words = one_line(text).split(" ")
    for word, following in zip(words, [*words[1:], ""], strict=True):
        begun.append(word)
        if _ends_sentence(word, following):
            found.append(" ".join(begun))
            begun = []
    return [sentence for sentence in (*found, " ".join(begun)) if sentence]


def _ends_sentence(word: str, following: str) -> bool:
    bare = word.rstrip(_CLOSING)
    if not bare.endswith((".", "!", "?")) or following.lstrip(_OPENING)[:1].islower():
        return False
    stem = bare.lstrip(_OPENING).rstrip(".")
    abbreviated = stem.lower() in _ABBREVIATIONS or (len(stem) == 1 and stem.isupper() and stem != "I")
    return not (bare.endswith(".") and abbreviated)


def tex_to_unicode(text: str) -> str:
    r"""Return the text with TeX as characters: `M$^{2}$UGen` is M²UGen, `\textit{x}` is x, `Erd\H{o}s` is Erdős.

    What has no character stays readable: an unknown macro gives its argument, or its name. Amounts ("$5 and $10")
    and tildes that mean "about" ("~20%") are left alone.
    """
    if not _MAYBE_TEX.search(text):
        return text
    parts = re.split(r"(?<!\\)\$", text.replace("$$", "$"))
    done = [_Tex(parts[0], math=False).all()]
    position = 1
    while position < len(parts):
        closed = position + 1 < len(parts)
        if closed and _is_math(parts[position], parts[position + 1]):
            done += [_Tex(parts[position], math=True).all(), _Tex(parts[position + 1], math=False).all()]
            position += 2
        else:
            done += ["$", _Tex(parts[position], math=False).all()]
            position += 1
    return "".join(done)


_MAYBE_TEX = re.compile(r"[\\$~]|``")
_TIE = re.compile(r"(?<=[^\W\d_]|[.)])~(?=\w)")
_QUOTED = re.compile("``([^`']*)''")
_OPERATOR = re.compile(r"(?<=[\w)}])\\(log|ln|exp|sin|cos|tan|min|max|arg)\b")
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}\s")
_LONGEST_MATH = 1000  # characters


def _is_math(inside: str, after: str) -> bool:
    """Tell `$x<y$` from "$5-$10" and "$5 or 10$ more": math touches its dollar signs and is no amount."""
    if not inside or len(inside) > _LONGEST_MATH or inside[0].isspace() or inside[-1].isspace():
        return False
    return not (inside[0].isdigit() and (after[:1].isdigit() or _PROSE.search(inside)))


def _pairs(table: str) -> dict[str, str]:
    words = table.split()
    return dict(zip(words[::2], words[1::2], strict=True))


_SYMBOLS = _pairs(r"""
alpha α beta β gamma γ delta δ epsilon ε varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ mu μ nu ν xi ξ
pi π rho ρ varrho ρ sigma σ varsigma ς tau τ upsilon υ phi φ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ
Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω ell ℓ hbar ℏ nabla ∇ partial ∂ infty ∞ forall ∀ exists ∃ emptyset ∅ varnothing ∅
sim ~ approx ≈ simeq ≃ cong ≅ equiv ≡ neq ≠ ne ≠ leq ≤ le ≤ geq ≥ ge ≥ ll ≪ gg ≫ lt < gt > lesssim ≲ gtrsim ≳ propto ∝ pm ± mp ∓
times × cdot · div ÷ ast * star ⋆ circ ∘ bullet • oplus ⊕ otimes ⊗ odot ⊙ cap ∩ cup ∪ in ∈ notin ∉ ni ∋ subset ⊂ subseteq ⊆
supset ⊃ supseteq ⊇ setminus ∖ mid | vert | Vert ‖ parallel ∥ perp ⊥ top ⊤ bot ⊥ land ∧ wedge ∧ lor ∨ vee ∨ neg ¬ lnot ¬
sum ∑ prod ∏ int ∫ sqrt √ to → rightarrow → longrightarrow → leftarrow ← gets ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐
Leftrightarrow ⇔ implies ⇒ iff ⇔ mapsto ↦ uparrow ↑ downarrow ↓ nearrow ↗ searrow ↘ prime ′ dagger † ddagger ‡ degree ° angle ∠
ldots … dots … cdots ⋯ vdots ⋮ langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ checkmark ✓ copyright © S § P ¶ pounds £ euro €
aleph ℵ Re ℜ Im ℑ triangle △ square □ diamond ⋄ clubsuit ♣ heartsuit ♥ spadesuit ♠ lbrace { rbrace } backslash \ textbackslash \
textasciitilde ~ textasciicircum ^ textunderscore _ textdollar $ textbar | textless < textgreater > textdegree ° textregistered ®
texttrademark ™ textemdash — textendash – l ł L Ł o ø O Ø ss ß ae æ AE Æ oe œ OE Œ aa å AA Å i ı j ȷ dh ð DH Ð th þ TH Þ
""") | dict.fromkeys(("quad", "qquad", "newline", "par", "item"), " ")
_DROPPED = _words(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr displaystyle textstyle limits nolimits it bf em rm tt sc sl sf bfseries "
    "itshape scshape small large centering noindent xspace protect relax"
)
_DROPPED_WITH_ARGUMENT = _words("begin end cite citep citet citealp label ref eqref pageref vspace hspace phantom color")
_ACCENTS = dict(
    zip("`'^\"~=.uvHcdbkr", map(chr, (768, 769, 770, 776, 771, 772, 775, 774, 780, 779, 807, 803, 817, 808, 778)), strict=True)
)
_MATH_ACCENTS = _pairs("hat ^ widehat ^ tilde ~ widetilde ~ bar = overline = dot . ddot \" acute ' grave ` check v breve u")
_BLACKBOARD = dict(zip("CEHNPQRZ1", "ℂ𝔼ℍℕℙℚℝℤ𝟙", strict=True))
_RAISED = str.maketrans("0123456789+-=()abcdefghijklmnoprstuvwxyzT′*∘", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ′*°")
_LOWERED = str.maketrans("0123456789+-=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ")
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|[{}^_]|[^\\{}^_]+|\\", re.DOTALL)
_DEEPEST = 30  # groups in groups; beyond it braces are kept as they are


class _Tex:
    """A reader of one stretch of text or math; every piece is taken once."""

    def __init__(self, text: str, *, math: bool) -> None:
        text = _OPERATOR.sub(r" \\\1", text) if math else _QUOTED.sub("“\\1”", _TIE.sub(" ", text))
        self._tokens: list[str] = _TOKEN.findall(text)[::-1]
        self._math = math
        self._depth = 0
        self._was_closed = False

    def all(self) -> str:
        """Return everything, closing braces without an opening one included."""
        done = []
        while self._tokens:
            done.append(self._until_closed())
            if self._tokens and self._tokens.pop() == "}" and not self._math:
                done.append("}")
        return "".join(done)

    def _until_closed(self) -> str:
        """Return what comes before the brace that closes this group, which is left."""
        return "".join(self._pieces())

    def _pieces(self) -> Iterator[str]:
        while self._tokens and self._tokens[-1] != "}":
            piece = self._tokens.pop()
            if piece == "{":
                yield self._group() if self._math else "{" + self._group() + "}" * self._was_closed
            elif piece in "^_" and self._math:
                yield _script(piece, self._argument())
            elif piece.startswith("\\"):
                yield self._macro(piece[1:].rstrip("*") or piece[1:])
            else:
                yield piece.replace("~", " ") if self._math else piece

    def _group(self) -> str:
        """Return the inside of a group whose opening brace is taken; the closing one is taken too, if there is one."""
        self._was_closed = False
        if self._depth >= _DEEPEST:
            return ""
        self._depth += 1
        inside = self._until_closed()
        self._depth -= 1
        self._was_closed = bool(self._tokens)
        if self._tokens:
            self._tokens.pop()
        return inside

    def _argument(self) -> str:
        """Return a macro's argument: a group, a macro, or the next character."""
        if self._tokens and self._tokens[-1].isspace():
            self._tokens.pop()
        if not self._tokens or self._tokens[-1] == "}":
            return ""
        piece = self._tokens.pop()
        if piece == "{":
            return self._group()
        if piece.startswith("\\"):
            return self._nested(piece[1:])
        piece = piece.lstrip()
        if piece[1:]:
            self._tokens.append(piece[1:])
        return piece[:1]

    def _nested(self, name: str) -> str:
        """Return a macro that is another one's argument: that is a recursion too, and bounded."""
        if self._depth >= _DEEPEST:
            return name
        self._depth += 1
        done = self._macro(name)
        self._depth -= 1
        return done

    def _macro(self, name: str) -> str:
        """Return what a macro stands for; `name` is without its backslash."""
        if name in _SYMBOLS:
            return _SYMBOLS[name] + self._skip_empty_group()
        if name in _ACCENTS and (self._math or self._accented_next(name)):
            return self._accent(name)
        if name in _MATH_ACCENTS:
            return _combine(_MATH_ACCENTS[name], self._argument())
        if name in _DROPPED:
            return ""
        if not name.isalpha():
            return _ESCAPES.get(name, name)
        return self._command(name)

    def _command(self, name: str) -> str:
        if name in _DROPPED_WITH_ARGUMENT:
            self._argument()
            return ""
        if name in {"frac", "tfrac", "dfrac"}:
            return f"{_wrapped(self._argument())}/{_wrapped(self._argument())}"
        if name in {"mathbb", "mathds"}:
            letter = self._argument()
            return _BLACKBOARD.get(letter, letter)
        if name in {"href", "textcolor"} and self._group_next():
            self._argument()
        return (self._argument() if self._group_next() else "") or name

    def _group_next(self) -> bool:
        return bool(self._tokens) and self._tokens[-1] == "{"

    def _skip_empty_group(self) -> str:
        if self._tokens[-2:] == ["}", "{"]:
            del self._tokens[-2:]
        return ""

    def _accented_next(self, name: str) -> bool:
        r"""Tell an accent from an escaped quote: `\"o` is one, `\"hello\"` is none."""
        following = self._tokens[-1] if self._tokens else ""
        if following == "{" or (following.startswith("\\") and following[1:] in {"i", "j"}):
            return True
        return following[:1].isalpha() and not (name == '"' and following[0] not in "aeiouyAEIOUY")

    def _accent(self, name: str) -> str:
        if name in "`'^\"~=." and self._math:
            return _ESCAPES.get(name, name)
        return _combine(name, self._argument())


_ESCAPES = dict.fromkeys(",;: /", " ") | {"\\": " ", "\n": " ", "!": "", "|": "‖", "-": "", "(": "", ")": "", "[": "", "]": ""}


def _combine(accent: str, base: str) -> str:
    """Return the letter with its accent, in one character where Unicode has it; longer bases stay without."""
    base = {"ı": "i", "ȷ": "j"}.get(base, base)
    return unicodedata.normalize("NFC", base + _ACCENTS[accent]) if len(base) == 1 and base.isalpha() else base


def _wrapped(part: str) -> str:
    return part if part.isalnum() else f"({part})"


def _script(mark: str, content: str) -> str:
    """Return a superscript or subscript: in small characters if all exist, else after its mark."""
    content = content.strip()
    table = _RAISED if mark == "^" else _LOWERED
    if all(ord(character) in table for character in content):
        return content.translate(table)
    return f"{mark}{content}" if content.isalnum() or len(content) == 1 else f"{mark}({content})"
