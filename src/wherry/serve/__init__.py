"""Serve: every tenant's champion, answering over HTTP, replaced while it answers."""

from wherry.learn.answer import Fallback, Query
from wherry.serve.answers import AnswerLog
from wherry.serve.app import create_app, create_collect_app
from wherry.serve.collect import CollectLimits, CollectRoutes
from wherry.serve.metrics import Metrics
from wherry.serve.recommend import SessionItems, SessionLookup
from wherry.serve.recommender import (
    Recommendation,
    RecommendedItem,
    Recommender,
    load_recommender,
    save_recommender,
)
from wherry.serve.request import Limits
from wherry.serve.server import require_loopback, serve

__all__ = [
    "AnswerLog",
    "CollectLimits",
    "CollectRoutes",
    "Fallback",
    "Limits",
    "Metrics",
    "Query",
    "Recommendation",
    "RecommendedItem",
    "Recommender",
    "SessionItems",
    "SessionLookup",
    "create_app",
    "create_collect_app",
    "load_recommender",
    "require_loopback",
    "save_recommender",
    "serve",
]
