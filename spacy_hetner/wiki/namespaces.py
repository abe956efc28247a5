"""What the prefix of a link means: a file, a category, another kind of page, another wiki."""

from dataclasses import dataclass, field
from typing import Dict, Iterable, Literal, Mapping, Tuple

from .titles import normalise_title

Kind = Literal["article", "hidden", "other"]
"""Of a link's target: an article; nothing that shows where the link stands; any other page."""

FILE, CATEGORY = 6, 14

# English names are valid in every wiki, beside its own.
_CANONICAL = {
    -2: "Media",
    -1: "Special",
    1: "Talk",
    2: "User",
    3: "User talk",
    4: "Project|Wikipedia|WP",
    5: "Project talk|Wikipedia talk|WT",
    FILE: "File|Image",
    7: "File talk|Image talk",
    8: "MediaWiki",
    9: "MediaWiki talk",
    10: "Template",
    11: "Template talk",
    12: "Help",
    13: "Help talk",
    CATEGORY: "Category",
    15: "Category talk",
    100: "Portal",
    101: "Portal talk",
    118: "Draft",
    119: "Draft talk",
    710: "TimedText",
    828: "Module",
    829: "Module talk",
}

# Names that a header leaves out, in all languages at once: they mean nothing else in any other,
# and the header of an excerpt is often that of another wiki.
_FILES = """
Datei|Bild|Fichier|Archivo|Imagen|Ficheiro|Arquivo|Imagem|Immagine|Bestand|Afbeelding|Fil|Bilde|
Plik|Grafika|Soubor|Obrázek|Súbor|Obrázok|Fájl|Kép|Fișier|Fişier|Imagine|Датотека|Слика|Datoteka|
Slika|Файл|Изображение|Зображення|Выява|Картинка|Αρχείο|Εικόνα|Dosya|Resim|Tiedosto|Kuva|Pilt|
Attēls|Vaizdas|Skedari|Fitxer|Imatge|Fitxategi|Irudi|Ficheru|Imaxe|Berkas|Gambar|Imej|
Tập tin|Hình|ไฟล์|ภาพ|ملف|صورة|پرونده|تصویر|פאיל|קובץ|תמונה|चित्र|চিত্র|படிமம்|দৃষ্টান্ত|
ファイル|画像|파일|그림|文件|檔案|档案|图像|圖像|图片|圖片|Պատկեր|ფაილი|სურათი|Şəkil|Fayl|Íomhá|
Delwedd|Dosiero|Mynd|Lêer|Beeld|Larawan|Talaksan|Файлы|Сурет|Fasciculus
"""
_CATEGORIES = """
Kategorie|Catégorie|Categoría|Categoria|Categorie|Kategori|Kategoria|Kategória|Kategorija|
Kategorio|Kategooria|Категория|Категорія|Категорыя|Категорија|Κατηγορία|Luokka|Kategorî|
Thể loại|หมวดหมู่|تصنيف|رده|زمره|קטגוריה|श्रेणी|বিষয়শ্রেণী|பகுப்பு|カテゴリ|분류|分类|分類|
Կատեգորիա|კატეგორია|Kateqoriya|Turkum|Санат|Catagóir|Categori|Flokkur|Kategoriya
"""

# Prefixes of other wikis, by which no article of a wiki can begin. First Wikipedia's languages.
_LANGUAGES = """
aa ab ace ady af ak als alt am ami an ang anp ar arc ary arz as ast atj av avk awa ay az azb ba ban
bar bat-smg bbc bcl bdr be be-tarask be-x-old bew bg bh bi bjn blk bm bn bo bpy br bs btm bug bxr ca
cbk-zam cdo ce ceb ch cho chr chy ckb co cr crh cs csb cu cv cy da dag de dga din diq dsb dtp dty dv
dz ee el eml en eo es et eu ext fa fat ff fi fiu-vro fj fo fon fr frp frr fur fy ga gag gan gcr gd
gl glk gn gom gor got gpe gu guc gur guw gv ha hak haw he hi hif ho hr hsb ht hu hy hyw hz ia iba id
ie ig igl ii ik ilo inh io is it iu ja jam jbo jv ka kaa kab kbd kbp kcg kg kge ki kj kk kl km kn
knc ko koi kr krc ks ksh ku kus kv kw ky la lad lb lbe lez lfn lg li lij lld lmo ln lo lrc lt ltg lv
lzh mad mai map-bms mdf mg mh mhr mi min mk ml mn mni mnw mo mos mr mrj ms mt mus mwl my myv mzn na
nah nan nap nb nds nds-nl ne new ng nia nl nn no nov nqo nr nrm nso nup nv ny oc olo om or os pa pag
pam pap pcd pcm pdc pdt pfl pi pih pl pms pnb pnt ps pt pwn qu rki rm rmy rn ro roa-rup roa-tara rsk
ru rue rup rw sa sah sat sc scn sco sd se sg sgs sh shi shn si simple sk skr sl sm smn sn so sq sr
srn ss st stq su sv sw syl szl szy ta tay tcy tdd te tet tg th ti tig tk tl tly tn to tok tpi tr trv
ts tt tum tw ty tyv udm ug uk ur uz ve vec vep vi vls vo vro wa war wo wuu xal xh xmf yi yo yue za
zea zgh zh zh-classical zh-cn zh-min-nan zh-tw zh-yue zu
"""
_PROJECTS = """
b betawikiversity c chapter cite commons d doi f foundation gerrit iarchive incubator m mail
mediazilla meta metawikipedia metawiki mw n oldwikisource outreach phab phabricator q s species
strategy testwiki toollabs translatewiki v voy w wikia wikibooks wikicities wikidata wikifunctions
wikimedia wikinews wikiquote wikisource wikispecies wikitech wikiversity wikivoyage wikt wiktionary
wmf wmania
"""

# Letters that belong to a link's surface when they follow it, as in [[wolf]]s.
_TRAILS = {
    "ar": "a-z\u0600-\u06ff",
    "bg": "a-zабвгдежзийклмнопрстуфхцчшщъыьэюя",
    "ca": "a-zàèéíòóúç·ïü'",
    "cs": "a-záčďéěíňóřšťúůýž",
    "da": "a-zæøå",
    "de": "a-zäöüß",
    "el": "a-zαβγδεζηθικλμνξοπρστυφχψωςάέήίόύώϊϋΐΰ",
    "es": "a-záéíóúñ",
    "fi": "a-zäö",
    "fr": "a-zàâçéèêîôûäëïöüùÇÉÂÊÎÔÛÄËÏÖÜÀÈÙ",
    "he": "a-zא-ת",
    "hu": "a-záéíóúöüőűÁÉÍÓÚÖÜŐŰ",
    "it": "a-zàéèíîìóòúù",
    "nb": "a-zæøå",
    "nl": "a-zäöüïëéèà",
    "nn": "a-zæøå",
    "no": "a-zæøå",
    "pl": "a-zęóąśłżźćńĘÓĄŚŁŻŹĆŃ",
    "pt": "a-záâãàéêẽçíòóôõq̃úüűũ",
    "ro": "a-zăâîşţșț",
    "ru": "a-zабвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "sk": "a-záäčďéíľĺňóôŕšťúýž",
    "sv": "a-zåäöéÅÄÖÉ",
    "tr": "a-zÇĞçğİıÖöŞşÜüÂâÎîÛû",
    "uk": "a-zабвгґдеєжзиіїйклмнопрстуфхцчшщьєюяёъы“»",
    "vi": "a-zàâçéèêîôûäëïöüùÇÉÂÊÎÔÛÄËÏÖÜÀÈÙ",
    "wuu": "",
    "yue": "",
    "gan": "",
    "lzh": "",
    "zh": "",
}


def link_trail(lang: str) -> str:
    """The letters that continue a link in a language, for a character class; maybe none."""
    return _TRAILS.get(lang.lower().partition("-")[0], "a-z")


def _names(text: str) -> Iterable[str]:
    return ("".join(text.split("\n"))).split("|")


def _fold(prefix: str) -> str:
    """Prefixes do not distinguish case, nor blanks from underscores."""
    return normalise_title(prefix).lower()


def _common_names() -> Dict[str, int]:
    names = {_fold(name): key for key, text in _CANONICAL.items() for name in text.split("|")}
    for key, text in ((FILE, _FILES), (CATEGORY, _CATEGORIES)):
        names |= {_fold(name): key for name in _names(text)}
    return names


_COMMON = _common_names()
_INTERWIKI = {
    **dict.fromkeys(_PROJECTS.split(), False),
    **dict.fromkeys(_LANGUAGES.split(), True),
}


@dataclass(frozen=True)
class Namespaces:
    """The prefixes that titles may have in a wiki.

    own (Tuple[Tuple[str, int], ...]): Names and numbers from the header of its dump. The English
        names, and those of files and categories in many languages, are known beside them.
    """

    own: Tuple[Tuple[str, int], ...] = ()
    _numbers: Dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = _COMMON | {_fold(name): number for name, number in self.own if name}
        object.__setattr__(self, "_numbers", numbers)

    @classmethod
    def from_header(cls, names: Mapping[int, str]) -> "Namespaces":
        """From the numbers and names of a dump's ``<siteinfo>``."""
        return cls(tuple((name, number) for number, name in sorted(names.items())))

    def number(self, title: str) -> int:
        """The namespace that a title lies in by its prefix, 0 for an article."""
        prefix, colon, _ = title.partition(":")
        return self._numbers.get(_fold(prefix), 0) if colon else 0

    def kind(self, target: str) -> Kind:
        """What the target of a link is, as it stands before the ``|``.

        Of files, categories and other languages nothing shows in the text, save after a colon, as
        in ``[[:Category:Wolves]]``.
        """
        shown = target.startswith(":")
        prefix, colon, _ = target.lstrip(": ").partition(":")
        if not colon:
            return "article"
        folded = _fold(prefix)
        number = self._numbers.get(folded, 0)
        language = _INTERWIKI.get(folded)
        if not number and language is None:
            return "article"
        return "hidden" if not shown and (number in (FILE, CATEGORY) or language) else "other"


COMMON = Namespaces()
"""What is known of any wiki."""
