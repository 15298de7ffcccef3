"""What a model looked at, for people: pictures, GeoJSON, pages and a viewer."""
