//! What is served beside gRPC: health and metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::tunnel;
use crate::gateway::Gateway;

/// The OpenMetrics text format.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes.
pub(crate) fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/health", get(|| async {}))
        .route("/healthz", get(|| async {}))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(tunnel::routes())
        .with_state(gateway)
}

async fn ready(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    let (code, status) = match gateway.store.ping().await {
        Ok(()) => (StatusCode::OK, "ready"),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer")
        }
    };
    let body = serde_json::json!({ "status": status, "version": env!("CARGO_PKG_VERSION") });
    (code, Json(body))
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> axum::response::Response {
    match gateway.metrics.show(&gateway).await {
        Ok(text) => ([(CONTENT_TYPE, METRICS)], text).into_response(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the store does not answer");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}
