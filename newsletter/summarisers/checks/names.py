"""Is the summary about this paper? Its names, its words and its topics say so.

An invented summary is fluent, and speaks of no paper at all or of another one: it has none of the source's own names, and
its topics are not the source's. Either sign alone misleads, so it takes both; topics that are all but strange are enough.
"""

import re

from newsletter.summarisers.checks.glossary import topics
from newsletter.summarisers.checks.reasons import Reason

STRANGE = 0.10  # of likeness: not about the source, whatever names it has
UNLIKE = 0.22  # of likeness: not about the source, if it has none of its names
DOUBTFUL = 0.30  # of likeness: as `UNLIKE`, if it has names that the source does not know
_FOREIGN_NAMES = 2
_FEWEST_TOPICS = 1.5  # of weight; a source with less says too little about what it is about
_SHARED_WORDS = 4  # rarer words in common that are as good as a name

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-+/.&][A-Za-z0-9]+)*")
_TITLE_CASE = re.compile(r"[A-Z][a-z]+(?:-[A-Z]?[a-z]+)*")
_LEAD = re.compile(r"\W*([A-Z]\w{2,})(?:\s[\d.]+)?\s?(?::|--|—)")


def _table(words: str) -> frozenset[str]:
    return frozenset(words.split())


_EVERYWHERE = _table("""
    ai ml dl nlp cv llm llms vlm vlms lm lms mllm mllms lvlm lvlms gpt gpt-2 gpt-3 gpt-3.5 gpt-4 gpt-4o gpt-4v chatgpt bert
    roberta vit gan gans cgan vae vaes cnn cnns rnn rnns lstm mlp mlps dnn dnns transformer transformers rl rlhf dpo ppo sft
    marl sota qa vqa asr tts ocr api apis gpu gpus cpu cpus tpu 2d 3d 4d fps hd imagenet cifar cifar-10 cifar-100 coco mnist
    celeba glue squad bleu rouge psnr ssim lpips fid is auc f1 iou miou flops id ood adam sgd nerf clip kl mse cot rag moe
    kv np np-hard cs it github huggingface http https com www arxiv org pytorch self-attention text-to-image image-to-image
    vision-language pre-training
""")
_COMMON_WORDS = _table("""
    models method methods approach paper study research results performance learning training trained trains deep neural
    network networks data dataset datasets benchmark benchmarks framework system systems architecture architectures
    algorithm algorithms techniques technique image images video videos text language large vision visual generation
    generative tasks model state-of-the-art accuracy quality attention transformer mechanism mechanisms efficient efficiency
    evaluation experiments experimental optimization parameters multi existing novel propose proposed improve improved
    improvement effective effectively features feature information representation reinforcement supervised unsupervised
    self-supervised classification detection recognition generalization transfer contrastive fine-tuning pre-training
    reasoning knowledge domain process adaptive inference human agent agents environment convergence augmentation
    regularization overfitting function functions metrics score memory speed diversity resolution high-resolution technical
    details highlights whats first which these their while through based using based shows across demonstrate introduces
""")


def stranger(source: str, summary: str) -> Reason | None:
    """Return why the summary seems to be about something else than the source, whose title is its first line."""
    about = topics(source)
    if sum(about.values()) < _FEWEST_TOPICS:
        return None
    alike = likeness(source, summary)
    own, named = own_names(source), _names(summary)
    if alike < STRANGE or (alike < DOUBTFUL and not _mentions(source, summary, own)):
        foreign = _as_written(summary, {name for name in named if name not in source.lower()})
        if alike < UNLIKE or len(foreign) >= _FOREIGN_NAMES:
            return _reason(own, topics(summary).keys() - about.keys(), foreign)
    return None


def _reason(own: frozenset[str], other_topics: set[str], foreign: list[str]) -> Reason:
    words = tuple(foreign[:4]) or tuple(sorted(other_topics)[:4])
    missing = f" none of its names ({', '.join(sorted(own)[:4])}) is in it, and" if own else ""
    told = f" such as {', '.join(words)}" if words else ""
    return Reason("about", words, f"The summary seems to be about another paper:{missing} it speaks of other things{told}.")


def _as_written(summary: str, names: set[str]) -> list[str]:
    """Return names in their order and spelling; parts of longer ones are left out."""
    return list(dict.fromkeys(word for word in _WORD.findall(summary) if re.sub(r"(?<=[A-Z0-9])s$", "", word).lower() in names))


def likeness(source: str, summary: str) -> float:
    """Return how far two texts are about the same topics, from 0 to 1, across English and Korean."""
    theirs, ours = topics(source), topics(summary)
    if not theirs or not ours:
        return 0.0
    shared = sum(weight for topic, weight in ours.items() if topic in theirs)
    return float(shared / (sum(theirs.values()) * sum(ours.values())) ** 0.5)


def own_names(source: str) -> frozenset[str]:
    """Return a paper's distinctive names in small letters; what is named everywhere in the field is none of them."""
    lead = _LEAD.match(source)
    return frozenset(_names(source) - _EVERYWHERE) | ({lead[1].lower()} if lead else set())


def _names(text: str) -> set[str]:
    found = set()
    for word in _WORD.findall(text):
        parts = [word, *re.split(r"[-+/.&]", word)] if re.search(r"[-+/.&]", word) else [word]
        found |= {re.sub(r"(?<=[A-Z0-9])s$", "", part).lower() for part in parts if _is_name(part)}
    return found


def _is_name(word: str) -> bool:
    """Tell `MiniCPM-V`, `IOI`, `o3` from words: capitals inside, or digits with letters."""
    if len(word) < len("o3") or word.isdigit() or _TITLE_CASE.fullmatch(word):
        return False
    return any(map(str.isupper, word[1:])) or any(map(str.isdigit, word))


def _mentions(source: str, summary: str, own: frozenset[str]) -> bool:
    """Tell whether the summary has one of the source's names, or as much of its rarer words."""
    said = summary.lower()
    if any(re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", said) for name in own if name in said):
        return True
    return len(_rare_words(source) & _rare_words(summary)) >= _SHARED_WORDS


def _rare_words(text: str) -> set[str]:
    return {word[:7] for word in map(str.lower, _WORD.findall(text)) if len(word) > 4 and word not in _COMMON_WORDS}  # noqa: PLR2004
