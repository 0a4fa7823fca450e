//! How does a record stand in the log? One line, with the members as fields of their own.

use crate::audit::record::Record;

/// Writes one log line. Members whose names end in `.json` hold JSON; the log writes them as such, without the ending.
pub fn write(record: &Record) {
    let object = &record.object;
    let origin = record.origin.as_ref();
    tracing::info!(
        target: "landfast::record",
        id = record.id,
        uid = record.uid,
        ruling = record.ruling.name(),
        enforced = record.enforced,
        allowed = record.allowed,
        group = object.group,
        kind = object.kind,
        namespace = object.namespace,
        name = object.name,
        operation = record.operation,
        subresource = record.subresource,
        user = record.writer.user,
        role = record.writer.role.name(),
        policy = record.policy.as_deref(),
        source = record.source.as_deref(),
        revision = record.revision.as_deref(),
        owners = record.owners.join(" "),
        breakGlass.json = record.glass.as_ref().map(|glass| serde_json::to_string(glass).unwrap_or_default()),
        repair.json = record.repair.as_ref().map(|repair| serde_json::to_string(repair).unwrap_or_default()),
        reason = record.reason,
        origin.json = origin.map(|origin| serde_json::to_string(origin).unwrap_or_default()),
        fields.json = serde_json::to_string(&record.fields).unwrap_or_default(),
        // `message` is the line's own name for its words.
        told = record.message,
        "Ruled"
    );
}
