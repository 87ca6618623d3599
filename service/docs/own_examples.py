"""Requests and answers of Penstock's own routes: the simple ones, and the operator's. Data only."""

from service.docs.example_events import OPENAI_CUT, events
from service.docs.failures import REQUEST_ID
from service.docs.schemas import Json

SIMPLE_REQUESTS: Json = {
    "short": {"summary": "Just a message", "value": {"message": "Hello!"}},
    "full": {
        "summary": "With everything",
        "value": {
            "message": "Hello!",
            "model": "sim-40-50ms",
            "system": "You are a helpful assistant.",
            "temperature": 0.7,
            "max_tokens": 30,
        },
    },
}

_SIMPLE_END: Json = {
    "id": "chatcmpl_ffa1afefb66ff041dd6d5b6f",
    "model": "sim",
    "usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6},
    "cost_usd": 0.0,
    "latency_ms": 12,
}

_SIMPLE_ANSWER = _SIMPLE_END | {"response": "This is a simulated answer."}

SIMPLE_ANSWERS: Json = {"answer": {"summary": "An answer", "value": _SIMPLE_ANSWER}}

SIMPLE_STREAMS: Json = {
    "complete": {
        "summary": "A complete stream",
        "value": events({"token": "This"}, {"token": " is"}, _SIMPLE_END | {"done": True}, "[DONE]"),
    },
    "broken": {
        "summary": "One that broke off: an error, and no [DONE]",
        "value": events({"token": "This"}, end=OPENAI_CUT),
    },
}

BATCH_REQUESTS: Json = {
    "batch": {
        "summary": "Two items",
        "value": {"items": [{"message": "Hello!"}, {"message": "And you?", "max_tokens": 20}]},
    }
}

BATCH_ANSWERS: Json = {
    "batch": {
        "summary": "An answer and a problem",
        "value": {
            "items": [
                _SIMPLE_ANSWER,
                {
                    "type": "urn:penstock:problem:invalid_request",
                    "title": "The request is not valid",
                    "status": 400,
                    "detail": "message: Expected `str` of length >= 1.",
                    "instance": "/chat/batch",
                    "request_id": REQUEST_ID,
                    "error": {
                        "message": "message: Expected `str` of length >= 1.",
                        "type": "invalid_request_error",
                        "param": "message",
                        "code": "invalid_request",
                    },
                    "errors": [{"path": "message", "message": "message: Expected `str` of length >= 1."}],
                },
            ]
        },
    }
}

OK_ANSWERS: Json = {"ok": {"summary": "All is well", "value": {"status": "ok"}}}

READY_ANSWERS: Json = OK_ANSWERS | {
    "verbose": {
        "summary": "Each check, with ?verbose",
        "value": {"status": "ok", "accepting": "ok", "database": "ok"},
    }
}

HEALTH_ANSWERS: Json = {
    "brief": {"summary": "For everybody", "value": {"status": "ok", "version": "0.1.0"}},
    "ok": {
        "summary": "For operators; one model was used",
        "value": {
            "status": "ok",
            "version": "0.1.0",
            "uptime_seconds": 3600,
            "model": "sim",
            "embedding_model": "sim",
            "models": {
                "sim": {
                    "status": "ok",
                    "last_success_at": 1795251851.5,
                    "last_error": None,
                    "latency_ms_p50": 0.73,
                    "circuit": "closed",
                }
            },
            "checks": {"accepting": "ok", "database": "ok"},
        },
    },
}

METRICS_ANSWERS: Json = {
    "metrics": {
        "summary": "One counter",
        "value": "# HELP penstock_requests_total Requests answered.\n"
        "# TYPE penstock_requests_total counter\n"
        'penstock_requests_total{outcome="complete",route="/chat",status="200"} 1.0\n',
    }
}

SUMMARY_ANSWERS: Json = {
    "summary": {
        "summary": "After two requests",
        "value": {
            "total_requests": 2,
            "total_cost_usd": 0.000264,
            "avg_latency_ms": 412.5,
            "total_input_tokens": 38,
            "total_output_tokens": 56,
        },
    }
}
