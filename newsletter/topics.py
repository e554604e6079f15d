"""The categories of arXiv (arxiv.org/category_taxonomy): what a topic may be, and those a reader is offered first."""

from newsletter import i18n

_SUBJECTS = {
    "cs": "AI AR CC CE CG CL CR CV CY DB DC DL DM DS ET FL GL GR GT HC IR IT LG LO MA MM MS NA NE NI OH OS PF PL RO SC SD SE SI "
    "SY",
    "stat": "AP CO ME ML OT TH",
    "eess": "AS IV SP SY",
    "math": "AC AG AP AT CA CO CT CV DG DS FA GM GN GR GT HO IT KT LO MG MP NA NT OA OC PR QA RA RT SG SP ST",
    "q-bio": "BM CB GN MN NC OT PE QM SC TO",
    "q-fin": "CP EC GN MF PM PR RM ST TR",
    "econ": "EM GN TH",
    "physics": "acc-ph ao-ph app-ph atm-clus atom-ph bio-ph chem-ph class-ph comp-ph data-an ed-ph flu-dyn gen-ph geo-ph hist-ph "
    "ins-det med-ph optics plasm-ph pop-ph soc-ph space-ph",
    "astro-ph": "CO EP GA HE IM SR",
    "cond-mat": "dis-nn mes-hall mtrl-sci other quant-gas soft stat-mech str-el supr-con",
    "nlin": "AO CD CG PS SI",
}
_ALONE = ("gr-qc", "hep-ex", "hep-lat", "hep-ph", "hep-th", "math-ph", "nucl-ex", "nucl-th", "quant-ph")
_BY_KEY = {
    category.lower(): category
    for category in (*_ALONE, *(f"{archive}.{subject}" for archive, names in _SUBJECTS.items() for subject in names.split()))
}


def category(text: str) -> str:
    """Return the category as arXiv writes it, whatever its case; "" for what is none."""
    return _BY_KEY.get(text.strip().lower(), "")


def offered(language: str) -> dict[str, str]:
    """Return the categories that papers on AI are mostly in, each with its name in a language."""
    gettext = i18n.catalogue(language).gettext
    return {
        "cs.CL": gettext("Language and text"),
        "cs.CV": gettext("Images and video"),
        "cs.LG": gettext("Machine learning"),
        "cs.AI": gettext("Artificial intelligence"),
        "cs.RO": gettext("Robots"),
        "cs.SD": gettext("Speech and sound"),
        "cs.IR": gettext("Search and recommendation"),
        "cs.MA": gettext("Several agents"),
        "cs.HC": gettext("People and machines"),
        "cs.SE": gettext("Software engineering"),
        "cs.CR": gettext("Security"),
        "stat.ML": gettext("Statistics of learning"),
    }
