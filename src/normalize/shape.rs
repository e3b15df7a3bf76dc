//! What a mapping's result must look like: the members of the canonical draft, and which of them it cannot do without.

/// The type of a result or of one of its members.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Text,
    Integer,
    Boolean,
    Object(&'static [Member]),
    List(&'static Shape),
    /// An object of any members, or null.
    Body,
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
}

/// The result of a mapping whose target is an order.
pub const ORDER: Shape = Shape::Object(&[
    required("external_order_id", Shape::Text),
    required("sales_channel", Shape::Text),
    required("country_code", Shape::Text),
    required("bu_code", Shape::Text),
    optional("store_id", Shape::Text),
    optional("urgency", Shape::Text),
    required("created_at", Shape::Integer),
    optional("updated_at", Shape::Integer),
    optional("requested_date", Shape::Text),
    required(
        "customer",
        Shape::Object(&[
            required("customer_id", Shape::Text),
            required("name", Shape::Text),
            optional("first_name", Shape::Text),
            optional("last_name", Shape::Text),
            optional("email", Shape::Text),
            optional("phone", Shape::Text),
        ]),
    ),
    required(
        "address",
        Shape::Object(&[
            required("street", Shape::Text),
            required("city", Shape::Text),
            required("postal_code", Shape::Text),
            required("country", Shape::Text),
        ]),
    ),
    required(
        "lines",
        Shape::List(&Shape::Object(&[
            required("line_id", Shape::Text),
            required("product_code", Shape::Text),
            optional("description", Shape::Text),
            required("quantity", Shape::Text),
            optional("service_type", Shape::Text),
            optional("estimated_duration_min", Shape::Integer),
            optional("requires_confirmation_tv", Shape::Boolean),
        ])),
    ),
    optional("total", Shape::Object(&[required("amount", Shape::Text), required("currency", Shape::Text)])),
    optional("external_refs", Shape::Object(&[optional("project_id", Shape::Text), optional("lead_id", Shape::Text)])),
    optional("notes", Shape::Text),
]);

/// The result of a mapping whose target is a cancellation.
pub const CANCELLATION: Shape = Shape::Object(&[
    required("external_order_id", Shape::Text),
    required("cancelled_at", Shape::Integer),
    optional("country_code", Shape::Text),
    required("reason_code", Shape::Text),
    optional("reason", Shape::Text),
]);

const fn required(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, required: true }
}

const fn optional(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, required: false }
}
