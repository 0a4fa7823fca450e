//! What differs? Pure: no clock, no file, no network.
//!
//! `path` names a field, `document` is a JSON object laid flat, `schema` says which kinds there are and `shape` how their parts
//! merge, `declared` is what Git says of one object, `compare` finds what differs between the two, as the API server's forced
//! apply would; `form` settles what only the server can tell, by what it made of the declaration.

pub mod allocated;
mod arena;
mod assigned;
mod builtin;
pub mod compare;
mod coupled;
mod crd;
pub mod declared;
pub mod document;
pub mod dropped;
pub mod exceptions;
mod filled;
mod fits;
pub mod form;
mod items;
pub mod lookup;
pub mod mask;
mod native;
mod openapi;
pub mod path;
pub(crate) mod quantity;
pub mod schema;
mod secret;
pub mod shape;
mod slot;
mod stored;
mod structural;
mod trail;
mod typing;
pub mod undeclared;
pub(crate) mod value;
pub(crate) mod version;
mod whole;
