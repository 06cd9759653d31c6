//! The `Inference` service.

use std::sync::Arc;

use navigator_proto::inference::v1 as proto;
use navigator_proto::inference::v1::inference_server::Inference;
use tonic::Request;

use super::{Answer, own};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::records::{Name, Route};
use crate::wire;
use tonic::Response;

/// Serves it.
pub(crate) struct InferenceApi(pub(crate) Arc<Gateway>);

fn answer(route: &Route) -> Response<proto::InferenceRouteResponse> {
    Response::new(proto::InferenceRouteResponse { route: Some(wire::route(route)) })
}

#[tonic::async_trait]
impl Inference for InferenceApi {
    async fn create_inference_route(
        &self,
        request: Request<proto::CreateInferenceRouteRequest>,
    ) -> Answer<proto::InferenceRouteResponse> {
        let proto::CreateInferenceRouteRequest { route, name } = request.into_inner();
        Ok(answer(&self.0.create_route(&name, route).await?))
    }

    async fn update_inference_route(
        &self,
        request: Request<proto::UpdateInferenceRouteRequest>,
    ) -> Answer<proto::InferenceRouteResponse> {
        let proto::UpdateInferenceRouteRequest { name, route } = request.into_inner();
        Ok(answer(&self.0.update_route(&name, route).await?))
    }

    async fn delete_inference_route(
        &self,
        request: Request<proto::DeleteInferenceRouteRequest>,
    ) -> Answer<proto::DeleteInferenceRouteResponse> {
        let name = Name::parse(&request.get_ref().name).map_err(Failure::from)?;
        let deleted = self.0.store.remove_route(&name).await.map_err(Failure::from)?;
        Ok(Response::new(proto::DeleteInferenceRouteResponse { deleted }))
    }

    async fn list_inference_routes(
        &self,
        request: Request<proto::ListInferenceRoutesRequest>,
    ) -> Answer<proto::ListInferenceRoutesResponse> {
        let proto::ListInferenceRoutesRequest { limit, offset } = *request.get_ref();
        let found = self.0.store.routes(wire::page(limit, offset)).await.map_err(Failure::from)?;
        let routes = found.iter().map(wire::route).collect();
        Ok(Response::new(proto::ListInferenceRoutesResponse { routes }))
    }

    async fn get_sandbox_inference_bundle(
        &self,
        request: Request<proto::GetSandboxInferenceBundleRequest>,
    ) -> Answer<proto::GetSandboxInferenceBundleResponse> {
        let id = own(&request, &request.get_ref().sandbox_id)?;
        Ok(Response::new(self.0.inference_bundle(id).await?))
    }
}
