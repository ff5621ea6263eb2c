"""Scores of saved models by sentence-transformers' own evaluators: one scorer for whoever trained them."""

from pathlib import Path

from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
)

from benchmarks.sentence_data import paragraphs_file, rows_of
from benchmarks.sentence_studies import Study

BATCH = 64


def scores_of(study: Study, model: Path, *, data: Path) -> dict[str, float]:
    """Return the scores of a saved model on the held-out rows of a study, in fp32."""
    rows = rows_of(data / "validation.jsonl")
    if study.task == "ranking":
        samples = [{"query": row["query"], "positive": [row["positive"]], "negative": row["negatives"]} for row in rows]
        found = CrossEncoderRerankingEvaluator(samples, batch_size=BATCH, write_csv=False)(
            CrossEncoder(str(model), max_length=study.max_length, device="cpu")
        )
        return {name: float(found[name]) for name in ("mrr@10", "ndcg@10", "map")}
    encoder = SentenceTransformer(str(model), device="cpu")
    encoder.max_seq_length = study.max_length
    if study.label is not None:
        sides = ([row[column] for row in rows] for column in study.columns)
        scores = [row[study.label] for row in rows]
        found = EmbeddingSimilarityEvaluator(*sides, scores, batch_size=BATCH, main_similarity="cosine")(encoder)
        return {name: float(found[f"{name}_cosine"]) for name in ("spearman", "pearson")}
    paragraphs = [row["positive"] for row in rows_of(paragraphs_file(data))]
    places = {text: number for number, text in enumerate(paragraphs)}
    found = InformationRetrievalEvaluator(
        queries={str(number): row["query"] for number, row in enumerate(rows)},
        corpus={str(number): text for number, text in enumerate(paragraphs)},
        relevant_docs={str(number): {str(places[row["positive"]])} for number, row in enumerate(rows)},
        batch_size=BATCH,
        main_score_function="cosine",
        write_csv=False,
    )(encoder)
    return {name: float(found[f"cosine_{key}"]) for name, key in _RETRIEVED.items()}


_RETRIEVED = {"mrr@10": "mrr@10", "ndcg@10": "ndcg@10", "map": "map@100"}
