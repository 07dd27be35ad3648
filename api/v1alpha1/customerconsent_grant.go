package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Grant is one answer of one customer to one brand about one purpose over one
// channel. It counts in [effectiveFrom, effectiveTo).
//
// +kubebuilder:validation:XValidation:rule="!has(self.effectiveFrom) || self.effectiveFrom >= self.captureDate",messageExpression="'%s is earlier than captureDate, %s: an answer doesn\\'t reach back before it was given'.format([self.effectiveFrom, self.captureDate])",fieldPath=".effectiveFrom"
// +kubebuilder:validation:XValidation:rule="!has(self.effectiveTo) || !has(self.effectiveFrom) || self.effectiveTo > self.effectiveFrom",messageExpression="'%s is not later than effectiveFrom, %s: the answer would never count'.format([self.effectiveTo, self.effectiveFrom])",fieldPath=".effectiveTo"
// +kubebuilder:validation:XValidation:rule="!has(self.effectiveTo) || self.effectiveTo > self.captureDate",messageExpression="'%s is not later than captureDate, %s: the answer would never count'.format([self.effectiveTo, self.captureDate])",fieldPath=".effectiveTo"
// +kubebuilder:validation:XValidation:rule="!has(self.doubleConsentCaptureDate) || self.doubleConsentCaptureDate >= self.captureDate",messageExpression="'%s is earlier than captureDate, %s: a confirmation follows the answer'.format([self.doubleConsentCaptureDate, self.captureDate])",fieldPath=".doubleConsentCaptureDate"
// +kubebuilder:validation:XValidation:rule="(self.consentType == 'ImpliedConsent') == has(self.impliedBy)",messageExpression="'consentType is ' + self.consentType + ': ImpliedConsent needs impliedBy (the purchase, contract or inquiry that implies it), and no other type takes it'",fieldPath=".impliedBy"
// +kubebuilder:validation:XValidation:rule="!(self.status in ['ConsentGiven', 'RenewedConsentGiven']) || !(oldSelf.status in ['ConsentRefused', 'ConsentWithdrawn', 'ConsentRevoked', 'ConsentInvalidated', 'ConsentExpired']) || self.captureDate > oldSelf.captureDate",messageExpression="'status was %s: only a new answer turns it into %s; set captureDate to when that was given, later than %s'.format([oldSelf.status, self.status, oldSelf.captureDate])",fieldPath=".captureDate"
type Grant struct {
	// purpose is what the answer is about.
	// +required
	Purpose Purpose `json:"purpose"`

	// channel is the medium that the answer is about.
	// +required
	Channel Channel `json:"channel"`

	// topics that the answer covers. Empty: every topic. They are one answer:
	// whoever applies them replaces them all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Topics []Topic `json:"topics,omitempty"`

	// status is the answer, in the words of DPV. Only ConsentGiven and
	// RenewedConsentGiven allow a contact. An answer that was defaulted, or
	// imported without proof, is ConsentUnknown. ConsentWithdrawn: by the
	// customer; ConsentRevoked: by somebody else, a guardian for instance.
	// +required
	Status ConsentStatus `json:"status"`

	// consentType says how the answer came about. Unset: ExpressedConsent.
	// +optional
	// +kubebuilder:default=ExpressedConsent
	ConsentType ConsentType `json:"consentType,omitempty"`

	// legalBasis is why the brand may act on the answer. Unset: Consent.
	// +optional
	// +kubebuilder:default=Consent
	LegalBasis LegalBasis `json:"legalBasis,omitempty"`

	// captureDate is when the customer answered.
	// +required
	CaptureDate metav1.Time `json:"captureDate"`

	// captureSource is where the customer answered.
	// +optional
	// +kubebuilder:validation:Enum=PreferenceCentre;Web;Email;Phone;Paper;PointOfSale;Import
	CaptureSource string `json:"captureSource,omitempty"`

	// doubleConsentCaptureDate is when the customer confirmed the answer (double
	// opt-in). Unset: not confirmed.
	// +optional
	DoubleConsentCaptureDate *metav1.Time `json:"doubleConsentCaptureDate,omitempty"`

	// effectiveFrom is the first instant at which the answer counts. Unset:
	// captureDate.
	// +optional
	EffectiveFrom *metav1.Time `json:"effectiveFrom,omitempty"`

	// effectiveTo is the first instant at which the answer no longer counts.
	// Unset: until it is withdrawn.
	// +optional
	EffectiveTo *metav1.Time `json:"effectiveTo,omitempty"`

	// impliedBy is the act that an ImpliedConsent rests on.
	// +optional
	ImpliedBy *ImpliedBy `json:"impliedBy,omitempty"`

	// privacyNotice is what the customer was told. Unset: not on record.
	// +optional
	PrivacyNotice *PrivacyNotice `json:"privacyNotice,omitempty"`

	// artifact is a reference to the proof, kept elsewhere; never the proof.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[A-Za-z0-9][A-Za-z0-9:/._-]*$')`,message=`write a reference without spaces, for example scan:2026/000123; never an address`
	Artifact string `json:"artifact,omitempty"`
}

// ImpliedBy is the act that implies a consent for a time.
type ImpliedBy struct {
	// event is what the customer did.
	// +required
	Event ImplyingEvent `json:"event"`
	// eventDate is when; for a contract: when it ended or, while it runs, when
	// that was last known.
	// +required
	EventDate metav1.Time `json:"eventDate"`
}

// PrivacyNotice names the text that a customer was shown.
type PrivacyNotice struct {
	// version of the notice, as in Brand.spec.purposes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Version string `json:"version"`
	// digest of the text as it was shown, sha256:<hex>.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:XValidation:rule=`self.matches('^sha256:[0-9a-f]{64}$')`,message=`write sha256: and 64 hexadecimal digits`
	Digest string `json:"digest,omitempty"`
}
