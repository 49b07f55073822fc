"""Serve: every tenant's champion, answering over HTTP, replaced while it answers."""

from wherry.domain.session import SessionItems
from wherry.learn.answer import Fallback, Query
from wherry.serve.answers import AnswerLog
from wherry.serve.app import create_app, create_collect_app
from wherry.serve.available import AvailableNow
from wherry.serve.balance import Balance, Holdings
from wherry.serve.collect import CollectLimits, CollectRoutes
from wherry.serve.log import log_to
from wherry.serve.metrics import Metrics
from wherry.serve.recommender import (
    Recommendation,
    RecommendedItem,
    Recommender,
    load_recommender,
    save_recommender,
)
from wherry.serve.request import Limits
from wherry.serve.sampler import Sampler
from wherry.serve.server import address_of, answer_on, listen, require_loopback, serve
from wherry.serve.session import LiveLookup, SessionLookup
from wherry.serve.siblings import Siblings
from wherry.serve.workers import GO, READY, WARM, Workers

__all__ = [
    "GO",
    "READY",
    "WARM",
    "AnswerLog",
    "AvailableNow",
    "Balance",
    "CollectLimits",
    "CollectRoutes",
    "Fallback",
    "Holdings",
    "Limits",
    "LiveLookup",
    "Metrics",
    "Query",
    "Recommendation",
    "RecommendedItem",
    "Recommender",
    "Sampler",
    "SessionItems",
    "SessionLookup",
    "Siblings",
    "Workers",
    "address_of",
    "answer_on",
    "create_app",
    "create_collect_app",
    "listen",
    "load_recommender",
    "log_to",
    "require_loopback",
    "save_recommender",
    "serve",
]
